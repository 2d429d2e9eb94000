#include "codec/xxh64.h"

#include <xxhash.h>

namespace flatimg {

std::uint64_t xxh64(std::span<const std::byte> bytes, std::uint64_t seed) {
  return XXH64(bytes.data(), bytes.size(), seed);
}

std::uint32_t xxh64_low(std::span<const std::byte> bytes) { return static_cast<std::uint32_t>(xxh64(bytes, 0)); }

}  // namespace flatimg
