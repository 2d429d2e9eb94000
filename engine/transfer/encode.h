// A disk, into an image that is written from its beginning to its end.
#pragma once

#include "base/progress.h"
#include "image/image_writer.h"
#include "view/disk.h"

namespace flatimg::transfer {

/// Afterwards `to` is complete, on stable storage, and shows the bytes of `from`. Reading, encoding and writing go on
/// at the same time. `threads` 0: as many as there are processors. Memory: a few parts for each thread.
Result<void> encode(Disk& from, ImageWriter& to, unsigned threads, const Progress& progress);

}  // namespace flatimg::transfer
