#include "fuse/handed_connection.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <charconv>

namespace flatimg::flat {

std::optional<int> handed_connection(const std::string& mountpoint) {
  constexpr std::string_view kFolder = "/dev/fd/";
  if (!mountpoint.starts_with(kFolder)) return std::nullopt;
  const char* const end = mountpoint.data() + mountpoint.size();
  int descriptor = 0;
  const auto [read_to, failed] = std::from_chars(mountpoint.data() + kFolder.size(), end, descriptor);
  return failed == std::errc() && read_to == end && descriptor >= 0 ? std::optional(descriptor) : std::nullopt;
}

Result<void> check_handed(int descriptor) {
  struct stat found {};
  const bool fuse = ::fstat(descriptor, &found) == 0 && S_ISCHR(found.st_mode) && found.st_rdev == makedev(10, 229);
  if (fuse) return {};
  return fail(ErrorKind::BadUsage, "/dev/fd/{}: no open connection of a FUSE mount (/dev/fuse)", descriptor);
}

Result<Descriptor> take_handed(int descriptor) {
  CHECK(check_handed(descriptor));
  ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  return Descriptor(descriptor);
}

}  // namespace flatimg::flat
