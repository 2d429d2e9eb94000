// Memory for decoded blocks, used again: what a cache drops is what the next decoding takes. Blocks are large enough to
// be mapped by the allocator one by one, and the pages of a fresh mapping cost more than decoding into them.
//
// Invariants:
//   1. Memory waits to be used again only while it and all that is in use together take at most `most` bytes.
//   2. No block is allocated or freed with the lock held.
#pragma once

#include <memory>

#include "base/aligned_buffer.h"
#include "base/units.h"

namespace flatimg {

class BlockPool {
 public:
  explicit BlockPool(ByteCount most);

  /// A block of that many bytes, contents undefined. Its memory comes back when the last holder lets go of it, which may
  /// be after the end of the pool. Any thread. Throws std::bad_alloc.
  [[nodiscard]] std::shared_ptr<AlignedBytes> block(std::size_t bytes);

  /// What waits to be used again.
  [[nodiscard]] ByteCount idle() const;

 private:
  class Memory;
  std::shared_ptr<Memory> memory_;
};

}  // namespace flatimg
