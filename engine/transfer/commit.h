// What an overlay holds goes into the disk below it.
#pragma once

#include "transfer/pieces.h"
#include "view/disk.h"

namespace flatimg::transfer {

/// Writes everything that `overlay` holds into `base`, which becomes as large when it was smaller. `overlay` was opened
/// without the disk below it. On stable storage on return; the overlay is not changed. Nobody else uses the two.
Result<void> commit(Disk& overlay, Disk& base, const Progress& progress);

}  // namespace flatimg::transfer
