// Plain data that images tell about themselves.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/units.h"

namespace flatimg {

/// The verdict of a check. Fields and classes as `qemu-img check` has them.
struct CheckReport {
  std::uint64_t corruptions = 0;         // data may be or become wrong
  std::uint64_t leaks = 0;               // clusters that are counted more often than they are used: space, not data
  std::uint64_t check_errors = 0;        // places that could not be judged
  ByteCount image_end;                   // the end of the last cluster that is used or counted
  std::uint64_t total_clusters = 0;      // of the virtual disk
  std::uint64_t allocated_clusters = 0;  // of those, with host space
  std::uint64_t fragmented_clusters = 0;
  std::uint64_t compressed_clusters = 0;
  std::vector<std::string> sentences;  // one for each finding, up to a limit
  std::uint64_t untold = 0;            // findings beyond the limit
};

using Counters = std::vector<std::pair<std::string, std::uint64_t>>;

}  // namespace flatimg
