// What is agreed with the kernel when the connection begins.
#pragma once

struct fuse_conn_info;

namespace flatimg::flat {

/// libfuse's init call; `mounted` is the Mounted of one disk.
void negotiate(void* mounted, fuse_conn_info* connection);
/// The same for a directory of images.
void negotiate_tree(void* mounted, fuse_conn_info* connection);

inline constexpr unsigned kLargestRequest = 1u << 20;

}  // namespace flatimg::flat
