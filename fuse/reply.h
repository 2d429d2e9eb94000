// Answers to the kernel. The one place where a kind of error becomes an errno.
#pragma once

#include "base/result.h"
#include "fuse/libfuse.h"
#include "fuse/mounted.h"

namespace flatimg::flat {

/// Never ENOSYS: the kernel would stop asking for the rest of the connection.
[[nodiscard]] int errno_of(const Error& error);

/// Answers with the error, counts it, and logs those that an operator should know of.
void reply_error(fuse_req_t request, const Error& error);
/// Answers 0 or the error.
void reply_done(fuse_req_t request, const Result<void>& result);

/// The mount that the request came through.
[[nodiscard]] Mounted& mount_of(fuse_req_t request);

}  // namespace flatimg::flat
