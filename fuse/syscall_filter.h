// The system calls of a confined process (seccomp): which are allowed, which end it, and ENOSYS for all others, so that
// a newer C library falls back on what it did before. contrib/decisions/0014 has the reasons.
#pragma once

#include "base/result.h"

namespace flatimg::flat {

/// From now on, for the calling thread and every thread that it starts. Cannot be undone. Takes no_new_privs.
/// Unsupported where the kernel, or the container, has no filters.
Result<void> filter_system_calls();

}  // namespace flatimg::flat
