// Half-open ranges [begin, begin + length) of one address space.
#pragma once

#include <algorithm>

#include "base/units.h"

namespace flatimg {

template <class Space>
struct Range {
  Offset<Space> begin;
  ByteCount length;

  static constexpr Range between(Offset<Space> begin, Offset<Space> end) { return {begin, end - begin}; }

  [[nodiscard]] constexpr Offset<Space> end() const { return begin + length; }
  [[nodiscard]] constexpr bool empty() const { return length.is_zero(); }
  [[nodiscard]] constexpr bool contains(Offset<Space> at) const { return begin <= at && at < end(); }
  [[nodiscard]] constexpr bool contains(Range other) const { return begin <= other.begin && other.end() <= end(); }
  [[nodiscard]] constexpr bool overlaps(Range other) const { return begin < other.end() && other.begin < end(); }

  /// The first `n` bytes of the range, or all of it.
  [[nodiscard]] constexpr Range first(ByteCount n) const { return {begin, std::min(n, length)}; }
  /// What is left behind the first `n` bytes.
  [[nodiscard]] constexpr Range without_first(ByteCount n) const {
    const ByteCount skipped = std::min(n, length);
    return {begin + skipped, length - skipped};
  }
  /// The smallest range of whole units that covers this one.
  [[nodiscard]] constexpr Range widened_to(ByteCount unit) const {
    return between(align_down(begin, unit), align_up(end(), unit));
  }
  friend constexpr bool operator==(Range, Range) = default;
};

using GuestRange = Range<struct GuestSpace>;
using HostRange = Range<struct HostSpace>;

/// The part that both have; empty (at the later begin) when there is none.
template <class Space>
constexpr Range<Space> intersection(Range<Space> a, Range<Space> b) {
  const auto begin = std::max(a.begin, b.begin);
  const auto end = std::min(a.end(), b.end());
  return end <= begin ? Range<Space>{begin, ByteCount(0)} : Range<Space>::between(begin, end);
}

}  // namespace flatimg
