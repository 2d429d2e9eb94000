#include "codec/xxh64.h"

#include <xxhash.h>

namespace flatimg {

std::uint32_t xxh64_low(std::span<const std::byte> bytes) {
  return static_cast<std::uint32_t>(XXH64(bytes.data(), bytes.size(), 0));
}

}  // namespace flatimg
