// Arithmetic on numbers that an image supplies: nullopt instead of wrapping round.
#pragma once

#include <concepts>
#include <optional>

namespace flatimg {

template <std::unsigned_integral T>
[[nodiscard]] constexpr std::optional<T> checked_add(T a, T b) {
  T sum{};
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

template <std::unsigned_integral T>
[[nodiscard]] constexpr std::optional<T> checked_multiply(T a, T b) {
  T product{};
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

/// a / b rounded up, without the overflow of (a + b - 1) / b.
template <std::unsigned_integral T>
[[nodiscard]] constexpr T ceil_divide(T a, T b) {
  return a / b + (a % b != 0 ? 1 : 0);
}

}  // namespace flatimg
