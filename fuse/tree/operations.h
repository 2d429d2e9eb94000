// The table of handlers of a mount that shows a directory of images.
#pragma once

#include "fuse/libfuse.h"

namespace flatimg::flat::tree {

[[nodiscard]] const fuse_lowlevel_ops& operations();

}  // namespace flatimg::flat::tree
