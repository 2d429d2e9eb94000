// The checksum of zstd's world: the low half of XXH64 with seed 0, as frames and seek tables store it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace flatimg {

[[nodiscard]] std::uint64_t xxh64(std::span<const std::byte> bytes, std::uint64_t seed);
[[nodiscard]] std::uint32_t xxh64_low(std::span<const std::byte> bytes);

}  // namespace flatimg
