// How many bytes of the disk are data: what st_blocks says, in agreement with SEEK_DATA.
//
// The count begins with one walk over the disk, from its start to its end; `counted_to` says how far it has come.
// Whoever changes the map in a range that it holds as Change adds the difference for the part below counted_to; the
// walk holds what it is about to count as Use, so no byte is counted twice or missed.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/range.h"

namespace flatimg {

class DataCount {
 public:
  /// Bytes of data so far, and how far the walk has come.
  [[nodiscard]] ByteCount bytes() const { return ByteCount(static_cast<std::uint64_t>(bytes_.load())); }
  [[nodiscard]] GuestOffset counted_to() const { return GuestOffset(counted_to_.load()); }

  /// The walk has counted `data` bytes up to `end`. The caller holds what lies between as Use.
  void advance(GuestOffset end, ByteCount data) {
    bytes_ += static_cast<std::int64_t>(data.value());
    counted_to_ = end.value();
  }
  /// The disk ends at `end` now, below which it was counted; behind it were `data` bytes. The caller holds all of it.
  void retreat(GuestOffset end, ByteCount data) {
    counted_to_ = end.value();
    bytes_ -= static_cast<std::int64_t>(data.value());
  }
  /// The part of `range` that has been counted already and whose changes must therefore be added.
  [[nodiscard]] GuestRange counted_part(GuestRange range) const {
    return intersection(range, GuestRange::between(GuestOffset(0), counted_to()));
  }
  void add(std::int64_t difference) { bytes_ += difference; }

 private:
  std::atomic<std::int64_t> bytes_{0};
  std::atomic<std::uint64_t> counted_to_{0};
};

}  // namespace flatimg
