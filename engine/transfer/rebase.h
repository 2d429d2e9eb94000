// An overlay is to show the same while another disk takes the place of the one below it.
#pragma once

#include "transfer/pieces.h"
#include "view/disk.h"

namespace flatimg::transfer {

/// Copies into `overlay`, which was opened with the old disk below it, what it shows from there and `new_base` does not
/// show as well (nullptr: there will be nothing below). On stable storage on return. Recording the new name is the
/// caller's work.
Result<void> rebase(Disk& overlay, Disk* new_base, const Progress& progress);

}  // namespace flatimg::transfer
