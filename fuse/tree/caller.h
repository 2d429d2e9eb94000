// Whoever made a request: his user, group and further groups, taken on by the thread for a few system calls.
//
// A helper that runs as root so leaves the last word to the file system (access lists, quotas, squashed roots), and
// what is created belongs to whom it should. Elsewhere, and for requests of root, nothing changes. The kernel has
// compared the mode of the file with the caller before (default_permissions).
//
// Only the calling thread changes. No thread may be started meanwhile, and no image opened: both would inherit.
#pragma once

#include "fuse/libfuse.h"

namespace flatimg::flat::tree {

class ActingAs {
 public:
  /// The caller of the request, until the end of this object.
  explicit ActingAs(fuse_req_t request);
  ~ActingAs();
  ActingAs(const ActingAs&) = delete;
  ActingAs& operator=(const ActingAs&) = delete;

 private:
  bool changed_ = false;
};

/// Before the first request: what the helper itself is, to come back to.
void remember_own_groups();

}  // namespace flatimg::flat::tree
