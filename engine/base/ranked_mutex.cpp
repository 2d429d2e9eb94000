#include "base/ranked_mutex.h"

#ifndef NDEBUG

#include <array>
#include <cassert>
#include <cstddef>

namespace flatimg {

namespace {

// The ranks that this thread holds, as a count for each; a mutex may be released in any order.
thread_local std::array<unsigned, static_cast<std::size_t>(Rank::Log) + 1> held{};

}  // namespace

void Mutex::note_taking() const {
  const auto mine = static_cast<std::size_t>(rank_);
  for (std::size_t rank = mine; rank < held.size(); ++rank) assert(held[rank] == 0 && "locks taken against their rank");
  ++held[mine];
}

void Mutex::note_released() const { --held[static_cast<std::size_t>(rank_)]; }

}  // namespace flatimg

#endif
