// What /proc tells of a process: its memory, its descriptors.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iterator>
#include <sstream>
#include <string>

#include "support/temp_dir.h"

namespace flatimg::test {

/// Bytes of its own memory that are in use, without mapped files; 0 when there is no such process.
inline std::uint64_t own_memory_of(int process) {
  std::istringstream status(contents_of("/proc/" + std::to_string(process) + "/status"));
  std::uint64_t kib = 0;
  for (std::string word; status >> word;) {
    if (word == "RssAnon:" && status >> kib) return kib * 1024;
  }
  return 0;
}

/// How many descriptors it holds.
inline std::uint64_t descriptors_of(int process) {
  const auto open = std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/fd");
  return static_cast<std::uint64_t>(std::distance(begin(open), end(open)));
}

}  // namespace flatimg::test
