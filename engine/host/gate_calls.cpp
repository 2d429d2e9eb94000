#include "host/gate_calls.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>

namespace flatimg::gate {

Attempt open_beneath(const Descriptor& directory, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<unsigned>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  // The kernel gives up with EAGAIN when somebody renames directories while it follows "..".
  constexpr int kTries = 32;
  for (int i = 0; i < kTries; ++i) {
    const long fd = ::syscall(SYS_openat2, directory.get(), path.c_str(), &how, sizeof how);
    if (fd >= 0) return {Descriptor(static_cast<int>(fd)), 0};
    if (errno != EAGAIN && errno != EINTR) break;
  }
  return {Descriptor(), errno};
}

Attempt duplicate_inherited(int number) {
  const int flags = ::fcntl(number, F_GETFD);
  if (flags < 0 || (flags & FD_CLOEXEC) != 0) return {Descriptor(), EBADF};
  const int copy = ::fcntl(number, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return {Descriptor(), errno};
  return {Descriptor(copy), 0};
}

// AT_STATX_DONT_SYNC: what the kernel knows is enough. On our own mount a question to the file server would be a
// question to ourselves, and we are busy here.
Result<Look> look_at(const Descriptor& descriptor) {
  struct statx status {};
  const int flags = AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
  if (::statx(descriptor.get(), "", flags, STATX_TYPE | STATX_INO | STATX_SIZE | STATX_MTIME, &status) != 0) {
    return fail_os(errno, "cannot look at it");
  }
  return Look{status.stx_mode,
              {makedev(status.stx_dev_major, status.stx_dev_minor), status.stx_ino},
              ByteCount(status.stx_size),
              status.stx_mtime.tv_sec};
}

}  // namespace flatimg::gate
