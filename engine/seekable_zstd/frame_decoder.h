// One frame of a zstd file, decoded.
#pragma once

#include <memory>

#include "base/aligned_buffer.h"
#include "codec/block_pool.h"
#include "host/host_file.h"
#include "seekable_zstd/frames.h"

namespace flatimg::seekable_zstd {

/// What the frame holds: as many bytes as the list says, with the checksums that the list and the frame itself carry.
/// CorruptImage otherwise; Unsupported when the frame needs a dictionary. Memory: what is stored and what it holds. Any
/// thread.
Result<std::shared_ptr<const AlignedBytes>> decode_frame(HostFile& file, const Frame& frame, BlockPool& blocks);

}  // namespace flatimg::seekable_zstd
