// Errors as the kernel gets them.
#include "fuse/reply.h"

#include <cerrno>

#include "base/log.h"

namespace flatimg::flat {

namespace {

constexpr unsigned kMostLogged = 100;  // a failing host would fill the log

void log_if_serious(const Error& error) {
  static std::atomic<unsigned> logged{0};
  if (error.kind != ErrorKind::Io && error.kind != ErrorKind::CorruptImage && error.kind != ErrorKind::NoSpace) return;
  const unsigned before = logged.fetch_add(1);
  if (before < kMostLogged) log(LogLevel::Error, "{}", error.text);
  if (before + 1 == kMostLogged) log(LogLevel::Error, "further errors of requests are not logged");
}

}  // namespace

int errno_of(const Error& error) {
  switch (error.kind) {
    case ErrorKind::Io:
    case ErrorKind::InvalidImage:
    case ErrorKind::CorruptImage:
      return EIO;
    case ErrorKind::NoSpace:
      return error.os_error == EDQUOT ? EDQUOT : ENOSPC;
    case ErrorKind::Unsupported:
      return EOPNOTSUPP;
    case ErrorKind::Denied:
      return EPERM;
    case ErrorKind::ReadOnly:
      return EROFS;
    case ErrorKind::Busy:
      return EBUSY;
    case ErrorKind::OutOfRange:
    case ErrorKind::Limit:
      return EFBIG;
    case ErrorKind::NoMemory:
      return ENOMEM;
    case ErrorKind::BadUsage:
      return EINVAL;
    case ErrorKind::NotFound:
      return ENOENT;
  }
  return EIO;
}

void reply_error(fuse_req_t request, const Error& error) {
  mount_of(request).counters.add_error();
  log_if_serious(error);
  fuse_reply_err(request, errno_of(error));
}

void reply_done(fuse_req_t request, const Result<void>& result) {
  if (!result) return reply_error(request, result.error());
  fuse_reply_err(request, 0);
}

Mounted& mount_of(fuse_req_t request) { return *static_cast<Mounted*>(fuse_req_userdata(request)); }

}  // namespace flatimg::flat
