// Zstandard frames (RFC 8878) of known decoded length, as qcow2 (compression type 1) and seekable zstd store them.
//
// A frame is decoded straight into the caller's bytes, which serve as its window. So a frame that claims a window of
// gigabytes costs nothing, and no bound on the window is needed that would refuse an honest file.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"

namespace flatimg {

/// Decodes one frame after another until `out` is exactly full; skippable frames are skipped. What follows in `in` does
/// not matter. CorruptImage when a frame is damaged, is not zstd of today's form, has more than what is left of `out`,
/// or when the frames end before. No dictionaries. Any thread.
Result<void> inflate_zstd_exactly(std::span<const std::byte> in, std::span<std::byte> out);

/// Decodes one frame that begins and ends with `in`, and says how many bytes at the front of `out` it filled. Limit
/// when it has more than `out`, else as above.
Result<std::size_t> inflate_zstd_frame(std::span<const std::byte> in, std::span<std::byte> out);

struct ZstdForm {
  int level = 3;
  bool checksum = false;  // of the content, behind the frame's last block
};

/// Encodes all of `in` as one frame that states its content size. Any thread.
Result<std::vector<std::byte>> zstd_frame(std::span<const std::byte> in, ZstdForm form);

/// Encodes all of `in` as one frame at the default level, with its content size and without a checksum. Returns the
/// bytes used at the front of `out`; 0 when it does not fit there, and then `out` holds rubbish.
Result<std::size_t> zstd_into(std::span<const std::byte> in, std::span<std::byte> out);

}  // namespace flatimg
