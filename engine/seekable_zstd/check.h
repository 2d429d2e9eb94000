// The verdict on a zstd file: its seek table against the frames that are really there, and, when asked for, every frame
// decoded, with all processors.
//
// Reads only. A file whose frames or table cannot be understood at all is an error, as when it is opened.
#pragma once

#include "base/progress.h"
#include "base/result.h"
#include "image/report.h"

namespace flatimg {
class HostFile;
}

namespace flatimg::seekable_zstd {

/// Walks the headers of all frames and blocks.
Result<CheckReport> check(HostFile& file, ByteCount most);

/// The same, and a corruption for every frame that cannot be decoded or is not what its checksums say.
Result<CheckReport> check_with_data(HostFile& file, ByteCount most, const Progress& progress = {});

}  // namespace flatimg::seekable_zstd
