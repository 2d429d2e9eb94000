// Integers that do not mix: a position in the virtual disk (GuestOffset), a position in a file of the host
// (HostOffset) and a number of bytes (ByteCount).
//
// Invariants:
//   1. Arithmetic between them only in the combinations that mean something (offset + count, offset - offset).
//   2. Our own arithmetic never wraps: it is asserted. Numbers that an image supplies go through base/checked.h first.
#pragma once

#include <cassert>
#include <compare>
#include <cstdint>

namespace flatimg {

/// A number of bytes.
class ByteCount {
 public:
  constexpr ByteCount() = default;
  constexpr explicit ByteCount(std::uint64_t bytes) : bytes_(bytes) {}
  [[nodiscard]] constexpr std::uint64_t value() const { return bytes_; }
  [[nodiscard]] constexpr bool is_zero() const { return bytes_ == 0; }

  friend constexpr auto operator<=>(ByteCount, ByteCount) = default;
  friend constexpr ByteCount operator+(ByteCount a, ByteCount b) { return ByteCount(a.bytes_ + b.bytes_); }
  friend constexpr ByteCount operator-(ByteCount a, ByteCount b) {
    assert(a.bytes_ >= b.bytes_);
    return ByteCount(a.bytes_ - b.bytes_);
  }
  friend constexpr ByteCount operator*(ByteCount a, std::uint64_t n) { return ByteCount(a.bytes_ * n); }
  friend constexpr std::uint64_t operator/(ByteCount a, ByteCount b) { return a.bytes_ / b.bytes_; }
  friend constexpr ByteCount operator%(ByteCount a, ByteCount b) { return ByteCount(a.bytes_ % b.bytes_); }
  constexpr ByteCount& operator+=(ByteCount b) { return *this = *this + b; }
  constexpr ByteCount& operator-=(ByteCount b) { return *this = *this - b; }

 private:
  std::uint64_t bytes_ = 0;
};

/// A position in one address space; Space is a tag type that is never defined.
template <class Space>
class Offset {
 public:
  constexpr Offset() = default;
  constexpr explicit Offset(std::uint64_t at) : at_(at) {}
  [[nodiscard]] constexpr std::uint64_t value() const { return at_; }

  friend constexpr auto operator<=>(Offset, Offset) = default;
  friend constexpr Offset operator+(Offset a, ByteCount n) { return Offset(a.at_ + n.value()); }
  friend constexpr Offset operator-(Offset a, ByteCount n) {
    assert(a.at_ >= n.value());
    return Offset(a.at_ - n.value());
  }
  friend constexpr ByteCount operator-(Offset a, Offset b) {
    assert(a.at_ >= b.at_);
    return ByteCount(a.at_ - b.at_);
  }
  friend constexpr ByteCount operator%(Offset a, ByteCount n) { return ByteCount(a.at_ % n.value()); }
  friend constexpr std::uint64_t operator/(Offset a, ByteCount n) { return a.at_ / n.value(); }
  constexpr Offset& operator+=(ByteCount n) { return *this = *this + n; }

 private:
  std::uint64_t at_ = 0;
};

using GuestOffset = Offset<struct GuestSpace>;
using HostOffset = Offset<struct HostSpace>;

/// The largest multiple of `unit` that is not above `at`.
template <class Space>
constexpr Offset<Space> align_down(Offset<Space> at, ByteCount unit) {
  return at - at % unit;
}
/// The smallest multiple of `unit` that is not below `at`; the caller knows that it exists.
template <class Space>
constexpr Offset<Space> align_up(Offset<Space> at, ByteCount unit) {
  const ByteCount over = at % unit;
  return over.is_zero() ? at : at + (unit - over);
}
constexpr ByteCount align_up(ByteCount n, ByteCount unit) {
  const ByteCount over = n % unit;
  return over.is_zero() ? n : n + (unit - over);
}
constexpr ByteCount align_down(ByteCount n, ByteCount unit) { return n - n % unit; }

inline namespace literals {
constexpr ByteCount operator""_B(unsigned long long n) { return ByteCount(n); }
constexpr ByteCount operator""_KiB(unsigned long long n) { return ByteCount(n << 10); }
constexpr ByteCount operator""_MiB(unsigned long long n) { return ByteCount(n << 20); }
constexpr ByteCount operator""_GiB(unsigned long long n) { return ByteCount(n << 30); }
}  // namespace literals

}  // namespace flatimg
