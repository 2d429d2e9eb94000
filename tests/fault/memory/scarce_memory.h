// Memory that ends at a certain allocation of this thread. The program that links this has the global operator new, and
// aligned_alloc, replaced.
#pragma once

#include <cstdint>

namespace flatimg::test {

/// From here to the end of its life the n-th allocation of this thread fails (1 is the first), and all behind it when
/// that is wanted.
class ScarceMemory {
 public:
  enum class Times { Once, ForEver };
  ScarceMemory(std::uint64_t nth, Times times);
  ~ScarceMemory();
  ScarceMemory(const ScarceMemory&) = delete;
  ScarceMemory& operator=(const ScarceMemory&) = delete;

  /// So far.
  [[nodiscard]] static std::uint64_t failures();
};

/// What is allocated meanwhile does not count: doubles have enough memory.
class PlentyOfMemory {
 public:
  PlentyOfMemory();
  ~PlentyOfMemory();
  PlentyOfMemory(const PlentyOfMemory&) = delete;
  PlentyOfMemory& operator=(const PlentyOfMemory&) = delete;
};

}  // namespace flatimg::test
