// The table of handlers that libfuse calls.
#pragma once

#include "fuse/libfuse.h"

namespace flatimg::flat {

[[nodiscard]] const fuse_lowlevel_ops& operations();

}  // namespace flatimg::flat
