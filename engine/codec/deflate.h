// Raw deflate streams (RFC 1951: no zlib or gzip header, no checksum) of known decoded length, as qcow2 stores
// clusters.
//
// Nothing here allocates in proportion to what a stream claims: the output is the caller's, and fixed.
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"

namespace flatimg {

/// Decodes until `out` is exactly full. What follows in `in` does not matter: a stream is stored in whole sectors, and
/// its end mark may be missing. CorruptImage when the stream is damaged or ends before. Any thread.
Result<void> inflate_exactly(std::span<const std::byte> in, std::span<std::byte> out);

/// Encodes all of `in` so that QEMU can read it (4 KiB of history). Returns the bytes used at the front of `out`; 0
/// when it does not fit there, and then `out` holds rubbish.
Result<std::size_t> deflate_into(std::span<const std::byte> in, std::span<std::byte> out);

}  // namespace flatimg
