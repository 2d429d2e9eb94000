// Every workload of a few operations: each kind of operation at each telling place of a qcow2 disk.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/units.h"

namespace flatimg::test {

/// What is done to the disk. Whole: a cluster; Part: one sector in its middle; Across: the last sector of the cluster
/// and the first of the next.
enum class Deed : unsigned char {
  WriteWhole,
  WritePart,
  WriteAcross,
  ZeroWhole,
  ZeroPart,
  DiscardWhole,
  Flush,
  Grow,
  Shrink,
  CreateSnapshot,
  DeleteSnapshot,
};

[[nodiscard]] constexpr bool has_place(Deed deed) { return deed < Deed::Flush; }

struct ShortStep {
  Deed deed = Deed::Flush;
  std::uint64_t cluster = 0;  // of the disk, where the deed has a place
};

[[nodiscard]] std::string name_of(const ShortStep& step);
[[nodiscard]] std::string name_of(const std::vector<ShortStep>& workload);

/// All steps at these clusters, and those without a place.
[[nodiscard]] std::vector<ShortStep> all_steps(const std::vector<std::uint64_t>& clusters);

/// Workload `number` of all with `length` of these steps; numbers go up to steps.size() to the power of `length`.
[[nodiscard]] std::vector<ShortStep> workload(const std::vector<ShortStep>& steps, unsigned length,
                                              std::uint64_t number);

}  // namespace flatimg::test
