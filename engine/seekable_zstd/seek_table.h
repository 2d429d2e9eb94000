// The table at the end of a seekable zstd file
// (zstd_seekable_compression_format.md, version 0.1.0).
#pragma once

#include <optional>

#include "host/host_file.h"
#include "seekable_zstd/frames.h"

namespace flatimg::seekable_zstd {

/// The frames as the table tells of them, or nothing when the file does not end
/// with a seek table. InvalidImage for a table that cannot be true of this
/// file, Limit for too many frames. Frames are not looked at.
Result<std::optional<Frames>> read_seek_table(HostFile &file);

}  // namespace flatimg::seekable_zstd
