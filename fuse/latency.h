// How long requests took, in classes: four to each power of two, so that a percentile is right within a fifth.
//
// Recording is two additions in memory that threads share; nothing is ever taken back.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>

namespace flatimg::flat {

class Latency {
 public:
  static constexpr std::size_t kClasses = 4 * 40;  // the last one begins behind ten minutes

  void record(std::chrono::nanoseconds time) {
    const auto nanoseconds = static_cast<std::uint64_t>(time.count() > 0 ? time.count() : 0);
    classes_[class_of(nanoseconds)].fetch_add(1, std::memory_order_relaxed);
    total_.fetch_add(nanoseconds, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t count_of(std::size_t nth) const { return classes_[nth].load(std::memory_order_relaxed); }
  /// How many were recorded.
  [[nodiscard]] std::uint64_t count() const {
    std::uint64_t all = 0;
    for (const auto& count : classes_) all += count.load(std::memory_order_relaxed);
    return all;
  }
  /// Of all that were recorded.
  [[nodiscard]] std::chrono::nanoseconds total() const {
    return std::chrono::nanoseconds(total_.load(std::memory_order_relaxed));
  }

  [[nodiscard]] static constexpr std::size_t class_of(std::uint64_t nanoseconds) {
    if (nanoseconds < 4) return static_cast<std::size_t>(nanoseconds);
    const auto power = static_cast<std::size_t>(std::bit_width(nanoseconds)) - 1;  // 2 and more
    const std::size_t quarter = nanoseconds >> (power - 2) & 3;
    const std::size_t nth = (power - 1) * 4 + quarter;
    return nth < kClasses ? nth : kClasses - 1;
  }
  /// The first time that is too long for the class.
  [[nodiscard]] static constexpr std::uint64_t end_of(std::size_t nth) {
    if (nth < 4) return nth + 1;
    const std::size_t power = nth / 4 + 1;
    return (std::uint64_t{5} + nth % 4) << (power - 2);
  }

 private:
  std::array<std::atomic<std::uint64_t>, kClasses> classes_{};
  std::atomic<std::uint64_t> total_{0};
};

}  // namespace flatimg::flat
