// How far a long work has come.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>

namespace flatimg {

/// Told now and then, by one thread at a time, with numbers that do not fall: so much of so much, in any unit. Empty
/// when nobody wants to know.
using Progress = std::function<void(std::uint64_t done, std::uint64_t all)>;

inline void tell(const Progress& progress, std::uint64_t done, std::uint64_t all) {
  if (progress) progress(std::min(done, all), all);
}

/// For one part of a work: what is told of it counts for the whole as the part from one percentage to another.
inline Progress part_of(const Progress& whole, unsigned from_percent, unsigned to_percent) {
  if (!whole) return {};
  constexpr std::uint64_t kSteps = 1'000'000;
  return [=](std::uint64_t done, std::uint64_t all) {
    const double share = all == 0 ? 1 : static_cast<double>(done) / static_cast<double>(all);
    const double percent = from_percent + share * (to_percent - from_percent);
    whole(static_cast<std::uint64_t>(percent / 100 * kSteps), kSteps);
  };
}

}  // namespace flatimg
