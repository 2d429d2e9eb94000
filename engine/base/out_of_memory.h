// The error for a std::bad_alloc that is caught: where others wait for an answer, or where half a change must be
// undone.
#pragma once

#include "base/result.h"

namespace flatimg {

/// Its text is short enough to need no memory.
[[nodiscard]] inline Failure out_of_memory() { return Failure(Error{ErrorKind::NoMemory, 0, "out of memory"}); }

}  // namespace flatimg
