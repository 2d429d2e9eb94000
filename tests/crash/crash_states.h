// The states in which a power cut may leave one file, computed from a recording of what was done to it.
//
// A barrier covers what completed before it was issued. A state is everything that is covered, and any subset of what
// is not; each write that is in it may be torn at a multiple of 512 bytes.
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
  std::unique_ptr<MemoryFile> file;
  std::size_t covered = 0;  // operations before this index are all in it
  std::size_t end = 0;      // operations from this index on are not
};

/// Calls `judge` with states of every epoch: all subsets of few operations; of many, prefixes, single omissions, single
/// survivors and `random_states` random ones with tears. Stops when judge() returns false.
void for_each_crash_state(const MemoryFile& start, const std::vector<Operation>& operations, unsigned random_states,
                          std::mt19937_64& random, const std::function<bool(CrashState)>& judge);

}  // namespace flatimg::test
