// A disk, into another one.
#pragma once

#include "transfer/pieces.h"
#include "view/disk.h"

namespace flatimg::transfer {

/// What the target shows before.
enum class Target { Zeroes, Anything };

/// Afterwards `to` shows the bytes of `from`, flushed; it is as large at least. Zeroes are not written: what is a hole
/// or zero in `from` (in whole granules of `to`, of 4 KiB at least) takes no space in `to`. `threads` 0: as many as
/// there are processors.
Result<void> copy(Disk& from, Disk& to, Target before, unsigned threads, const Progress& progress);

}  // namespace flatimg::transfer
