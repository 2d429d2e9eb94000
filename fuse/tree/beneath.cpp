#include "fuse/tree/beneath.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>

namespace flatimg::flat::tree {

namespace {

timespec as_timespec(const statx_timestamp& time) { return {time.tv_sec, static_cast<long>(time.tv_nsec)}; }

Seen as_seen(const struct statx& found) {
  Seen seen;
  seen.status.st_dev = makedev(found.stx_dev_major, found.stx_dev_minor);
  seen.status.st_rdev = makedev(found.stx_rdev_major, found.stx_rdev_minor);
  seen.status.st_ino = found.stx_ino;
  seen.status.st_mode = found.stx_mode;
  seen.status.st_nlink = found.stx_nlink;
  seen.status.st_uid = found.stx_uid;
  seen.status.st_gid = found.stx_gid;
  seen.status.st_size = static_cast<off_t>(found.stx_size);
  seen.status.st_blksize = static_cast<blksize_t>(found.stx_blksize);
  seen.status.st_blocks = static_cast<blkcnt_t>(found.stx_blocks);
  seen.status.st_atim = as_timespec(found.stx_atime);
  seen.status.st_mtim = as_timespec(found.stx_mtime);
  seen.status.st_ctim = as_timespec(found.stx_ctime);
  constexpr std::int64_t kSecond = 1'000'000'000;
  const bool told = (found.stx_mask & STATX_BTIME) != 0;
  seen.key = {seen.status.st_dev, found.stx_ino,
              told ? found.stx_btime.tv_sec * kSecond + static_cast<std::int64_t>(found.stx_btime.tv_nsec) : 0};
  return seen;
}

Passed<Seen> ask(int directory, const char* name, int flags) {
  struct statx found {};
  if (::statx(directory, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | flags, STATX_BASIC_STATS | STATX_BTIME,
              &found) != 0) {
    return refused(errno);
  }
  return as_seen(found);
}

}  // namespace

// The first look does not ask the file system: on our own mount that would be a question to ourselves.
Passed<Seen> see(const Descriptor& directory, const std::string& name, std::uint64_t not_on) {
  if (not_on != 0) {
    PASS(const Seen first, ask(directory.get(), name.c_str(), AT_STATX_DONT_SYNC));
    if (first.key.device == not_on) return refused(ELOOP);
  }
  return ask(directory.get(), name.c_str(), 0);
}

Passed<Seen> see(const Descriptor& file) { return ask(file.get(), "", AT_EMPTY_PATH); }

Passed<Descriptor> open_name(const Descriptor& directory, const std::string& name, int flags, mode_t mode) {
  const int all = flags | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  for (;;) {
    Descriptor opened(::openat(directory.get(), name.c_str(), all, mode));
    if (opened.valid()) return opened;
    if (errno != EINTR) return refused(errno);
  }
}

std::string path_to(const Descriptor& descriptor) { return fmt::format("/proc/self/fd/{}", descriptor.get()); }

}  // namespace flatimg::flat::tree
