// How a mount is taken down by its own helper; the steps stand in shutdown.h.
#pragma once

#include "fuse/errands.h"
#include "fuse/session.h"

namespace flatimg::flat {

/// Returns when the connection has ended or the workers have stopped.
void leave(Session& session, const Mounted& mounted, Errands& errands);

}  // namespace flatimg::flat
