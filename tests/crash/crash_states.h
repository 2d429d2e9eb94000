// The states in which a power cut may leave files, computed from a recording of what was done to them.
//
// A barrier covers what was done to its own file before it. A state is everything that is covered, and any subset of
// what is not: nothing orders two files, or two operations between barriers. A write that is in it may be torn at a
// multiple of 512 bytes.
#pragma once

#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "support/memory_file.h"
#include "support/recording_file.h"

namespace flatimg::test {

/// One state, and where in the recording it belongs.
struct CrashState {
  std::vector<std::unique_ptr<MemoryFile>> files;  // by their numbers in the recording
  std::size_t covered = 0;                         // operations before this index are all in it
  std::size_t end = 0;                             // operations from this index on are not

  [[nodiscard]] MemoryFile& file() const { return *files.front(); }
};

/// How many states are looked at between two barriers.
struct CrashSearch {
  std::size_t all_subsets_up_to = 6;  // operations; of more: prefixes, single omissions, single survivors
  unsigned random_states = 6;         // random subsets besides, with tears
  unsigned cuts = 0;                  // of each write that is torn while all others survive, at most
};

/// Calls `judge` with states between every two barriers. Stops when it returns false.
using JudgeCrash = std::function<bool(CrashState)>;
void for_each_crash_state(const std::vector<const MemoryFile*>& starts, const std::vector<Operation>& operations,
                          const CrashSearch& search, std::mt19937_64& random, const JudgeCrash& judge);

}  // namespace flatimg::test
