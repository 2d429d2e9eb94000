// Waiting for what another process does.
#pragma once

#include <chrono>
#include <functional>
#include <thread>

namespace flatimg::test {

/// Whether it comes true within ten seconds.
inline bool soon(const std::function<bool()>& what) {
  for (int n = 0; n < 1000; ++n) {
    if (what()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

}  // namespace flatimg::test
