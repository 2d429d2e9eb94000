// libfuse's low-level interface, with the version that this room is written for. Include this, never <fuse*.h>.
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

namespace flatimg::flat {

/// Whether the libfuse that this program was built with can take requests from the kernel by io_uring.
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 18)
inline constexpr bool kLibraryHasUring = true;
#else
inline constexpr bool kLibraryHasUring = false;
#endif

}  // namespace flatimg::flat
