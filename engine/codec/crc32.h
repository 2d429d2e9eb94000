// CRC-32 (reflected, polynomial 0xEDB88320, as zlib's crc32) of bytes that come piece by piece, some of them a repeated
// word that is never written out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/units.h"

namespace flatimg {

class Crc32 {
 public:
  void add(std::span<const std::byte> bytes);
  /// `word` (in memory order) again and again, `length` bytes: a multiple of 4. Takes time for the logarithm of the
  /// length only.
  void add_repeated(std::uint32_t word, ByteCount length);

  /// `behind` is of `length` bytes that follow. Takes time for the logarithm of the length only.
  void add(const Crc32& behind, ByteCount length);

  [[nodiscard]] std::uint32_t value() const { return value_; }

 private:
  std::uint32_t value_ = 0;
};

}  // namespace flatimg
