// The system calls of a confined process (seccomp): which are allowed, which end it, and ENOSYS for all others, so that
// a newer C library falls back on what it did before. contrib/decisions/0015 has the reasons.
#pragma once

#include "base/result.h"

namespace flatimg::flat {

enum class Serving {
  Image,  // the files of one image
  Tree,   // a directory: files are made, renamed and removed, as the user who asked for it
};

/// From now on, for the calling thread and every thread that it starts. Cannot be undone. Takes no_new_privs.
/// Unsupported where the kernel, or the container, has no filters.
Result<void> filter_system_calls(Serving serving);

}  // namespace flatimg::flat
