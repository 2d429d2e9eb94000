// A FUSE mount at no place in the tree of files (fsopen(2), fsmount(2)): reached through its root only, and gone with
// the last descriptor that leads into it, however its holders end. Needs Linux 5.4 and the right to mount.
#pragma once

#include <sys/types.h>

#include "base/result.h"
#include "fuse/options.h"
#include "host/posix_file.h"

namespace flatimg::flat {

struct DetachedMount {
  Descriptor connection;
  Descriptor root;
  dev_t device = 0;  // the number by which the kernel knows it
};

/// Nobody answers for it yet: no call that asks the file system, such as stat(), before somebody serves the connection.
Result<DetachedMount> make_detached_mount(const std::string& source, const MountOptions& options);

}  // namespace flatimg::flat
