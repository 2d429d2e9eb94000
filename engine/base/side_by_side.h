// Work that several threads divide among themselves, a piece at a time.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <system_error>
#include <thread>
#include <vector>

namespace flatimg {

/// How many threads to divide work among: the processors, within reason.
[[nodiscard]] inline std::size_t processors() { return std::clamp(std::thread::hardware_concurrency(), 1u, 64u); }

/// Calls work(thread, n) once for each n below `count`, and returns when all of it is done. At most `threads` calls run
/// at the same time, each with another number for `thread` (below `threads`); the caller's thread is one of them. Where
/// the host has no further thread, fewer do the work. `work` throws nothing.
template <class Work>
void side_by_side(std::size_t threads, std::size_t count, const Work& work) {
  std::atomic<std::size_t> next = 0;
  const auto take_part = [&](std::size_t thread) {
    for (std::size_t n = next++; n < count; n = next++) work(thread, n);
  };
  std::vector<std::jthread> others;
  others.reserve(threads);
  try {
    for (std::size_t thread = 1; thread < std::min(threads, count); ++thread) others.emplace_back(take_part, thread);
  } catch (const std::system_error&) {
    // Those that have begun do all of it.
  }
  take_part(0);
}

}  // namespace flatimg
