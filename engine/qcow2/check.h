// The verdict on an image: the census of references against the counters on disk, the COPIED flags against the
// counters, and everything that the walk met on the way. Finds what qemu-img check finds, with the same numbers.
//
// Reads only. The image need not be opened, its data file and its backing files are not looked at.
#pragma once

#include "base/progress.h"
#include "base/result.h"
#include "image/report.h"

namespace flatimg {
class HostFile;
}

namespace flatimg::qcow2 {

struct Header;

/// Judges the image. Fails only where nothing can be said: the host cannot read, or the snapshot table or the bitmap
/// directory cannot be understood.
Result<CheckReport> check(HostFile& file, const Header& header, const Progress& progress = {});

}  // namespace flatimg::qcow2
