#include "base/result.h"

#include <cerrno>
#include <system_error>

namespace flatimg {

namespace {

ErrorKind kind_of(int os_error) {
  switch (os_error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return ErrorKind::NoSpace;
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP:
    case EXDEV:
      return ErrorKind::Denied;
    case EBUSY:
    case EAGAIN:
    case ETXTBSY:
      return ErrorKind::Busy;
    case ENOMEM:
      return ErrorKind::NoMemory;
    case ENOENT:
    case ENOTDIR:
    case ENXIO:
    case ENODEV:
      return ErrorKind::NotFound;
    case EOPNOTSUPP:
    case ENOSYS:
      return ErrorKind::Unsupported;
    default:
      return ErrorKind::Io;
  }
}

}  // namespace

Error system_error(int os_error, std::string_view what) {
  return {kind_of(os_error), os_error, fmt::format("{}: {}", what, std::generic_category().message(os_error))};
}

}  // namespace flatimg
