// What is agreed with the kernel when the connection begins.
#pragma once

struct fuse_conn_info;

namespace flatimg::flat {

/// libfuse's init call; `exported` is an Exported.
void negotiate(void* exported, fuse_conn_info* connection);

inline constexpr unsigned kLargestRequest = 1u << 20;

}  // namespace flatimg::flat
