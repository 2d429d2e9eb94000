// The table at the end of a seekable zstd file (zstd_seekable_compression_format.md, version 0.1.0).
#pragma once

#include <optional>

#include "host/host_file.h"
#include "seekable_zstd/frames.h"

namespace flatimg::seekable_zstd {

inline constexpr std::uint32_t kSeekTableMagic = 0x184D2A5E;  // of the skippable frame that the table is
inline constexpr std::uint32_t kSeekableMagic = 0x8F92EAB1;   // the last bytes of the file
inline constexpr std::size_t kSeekTableFooter = 9;            // number of entries, descriptor, magic
inline constexpr std::size_t kPlainEntry = 8;                 // stored and held bytes; four more with a checksum

/// The frames as the table tells of them, or nothing when the file does not end with a seek table. InvalidImage for a
/// table that cannot be true of this file, Limit for too many frames. Frames are not looked at.
Result<std::optional<Frames>> read_seek_table(HostFile& file);

}  // namespace flatimg::seekable_zstd
