// What this machine offers to a mount: tried, where that does no harm, rather than looked up.
#pragma once

#include <string>
#include <vector>

namespace flatimg::flat {

struct Finding {
  std::string name;  // a word for programs: "fuse-device"
  bool there = false;
  std::string detail;   // which version, where; or why not
  std::string way_out;  // what to do when it is missing; empty when there is nothing to be done
};

struct Machine {
  bool can_mount = false;
  std::vector<Finding> findings;
};

/// Mounts something for a moment, among others. Call while there is one thread only.
[[nodiscard]] Machine examine_machine();

}  // namespace flatimg::flat
