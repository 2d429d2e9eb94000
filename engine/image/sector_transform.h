// How an image stores guest data that is enciphered: in sectors of 512 bytes, each by itself.
//
// The image owns the transform and says for each extent which number the first sector has; the view moves the bytes and
// applies it. Sectors never straddle a map entry, because clusters are multiples of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace flatimg {

class SectorTransform {
 public:
  static constexpr std::uint64_t kSector = 512;

  SectorTransform() = default;
  SectorTransform(const SectorTransform&) = delete;
  SectorTransform& operator=(const SectorTransform&) = delete;
  virtual ~SectorTransform() = default;

  // Both: in place, whole sectors with ascending numbers, any thread.

  virtual Result<void> encipher(std::uint64_t first_sector, std::span<std::byte> sectors) const = 0;
  virtual Result<void> decipher(std::uint64_t first_sector, std::span<std::byte> sectors) const = 0;
};

/// What an extent in a file says about that.
struct Enciphered {
  const SectorTransform* transform = nullptr;  // nullptr: the bytes are stored as they are
  std::uint64_t first_sector = 0;              // the number of the sector in which the extent begins

  explicit operator bool() const { return transform != nullptr; }
};

}  // namespace flatimg
