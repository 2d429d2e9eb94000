// Counters of 1 to 64 bits in a refcount block (specification: "Host cluster management", sheet section 5).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/endian.h"

namespace flatimg::qcow2 {

/// The counter with this index in a block (or in a part of one that begins at counter 0) of 2^order-bit counters.
[[nodiscard]] inline std::uint64_t read_counter(std::span<const std::byte> block, std::uint64_t index, unsigned order) {
  switch (order) {
    case 3:
      return std::to_integer<std::uint64_t>(block[index]);
    case 4:
      return load_be<std::uint16_t>(block, index * 2);
    case 5:
      return load_be<std::uint32_t>(block, index * 4);
    case 6:
      return load_be<std::uint64_t>(block, index * 8);
    default: {  // several in a byte, the lowest bits first
      const unsigned width = 1u << order;
      const unsigned in_byte = 8 / width;
      const auto shift = static_cast<unsigned>(index % in_byte) * width;
      return std::to_integer<unsigned>(block[index / in_byte]) >> shift & ((1u << width) - 1);
    }
  }
}

/// Stores a counter; the value fits into its width.
inline void write_counter(std::span<std::byte> block, std::uint64_t index, unsigned order, std::uint64_t value) {
  switch (order) {
    case 3:
      block[index] = static_cast<std::byte>(value);
      break;
    case 4:
      store_be(block, index * 2, static_cast<std::uint16_t>(value));
      break;
    case 5:
      store_be(block, index * 4, static_cast<std::uint32_t>(value));
      break;
    case 6:
      store_be(block, index * 8, value);
      break;
    default: {
      const unsigned width = 1u << order;
      const unsigned in_byte = 8 / width;
      const auto shift = static_cast<unsigned>(index % in_byte) * width;
      const auto mask = static_cast<std::byte>(((1u << width) - 1) << shift);
      std::byte& byte = block[index / in_byte];
      byte = (byte & ~mask) | (static_cast<std::byte>(value << shift) & mask);
    }
  }
}

}  // namespace flatimg::qcow2
