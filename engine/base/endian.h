// Integers in the byte order of file formats.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace flatimg {

static_assert(std::endian::native == std::endian::little, "flatimg is written for little-endian hosts");

template <std::unsigned_integral T>
[[nodiscard]] constexpr T byte_swapped(T value) {
  if constexpr (sizeof(T) == 1) return value;
  if constexpr (sizeof(T) == 2) return __builtin_bswap16(value);
  if constexpr (sizeof(T) == 4) return __builtin_bswap32(value);
  if constexpr (sizeof(T) == 8) return __builtin_bswap64(value);
}

/// The big-endian integer at bytes[at]; the caller has checked that it lies inside.
template <std::unsigned_integral T>
[[nodiscard]] inline T load_be(std::span<const std::byte> bytes, std::size_t at) {
  T value{};
  std::memcpy(&value, bytes.subspan(at, sizeof(T)).data(), sizeof(T));
  return byte_swapped(value);
}

template <std::unsigned_integral T>
inline void store_be(std::span<std::byte> bytes, std::size_t at, T value) {
  const T swapped = byte_swapped(value);
  std::memcpy(bytes.subspan(at, sizeof(T)).data(), &swapped, sizeof(T));
}

template <std::unsigned_integral T>
inline void store_le(std::span<std::byte> bytes, std::size_t at, T value) {
  std::memcpy(bytes.subspan(at, sizeof(T)).data(), &value, sizeof(T));
}

template <std::unsigned_integral T>
[[nodiscard]] inline T load_le(std::span<const std::byte> bytes, std::size_t at) {
  T value{};
  std::memcpy(&value, bytes.subspan(at, sizeof(T)).data(), sizeof(T));
  return value;
}

}  // namespace flatimg
