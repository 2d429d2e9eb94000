#include "qcow2/reference_counts.h"

#include <algorithm>
#include <cassert>

#include "base/checked.h"

namespace flatimg::qcow2 {

ReferenceCounts::ReferenceCounts(std::uint64_t clusters) : directory_(ceil_divide(clusters, kGroup)) {}

std::uint64_t ReferenceCounts::of(std::uint64_t cluster) const {
  const std::uint64_t group = cluster / kGroup;
  if (group >= directory_.size() || directory_[group] == nullptr) return 0;
  const std::uint16_t count = (*directory_[group])[cluster % kGroup] & kCount;
  return count == kLarge ? large_.at(cluster) : count;
}

void ReferenceCounts::set(std::uint64_t cluster, std::uint64_t count) {
  assert(cluster / kGroup < directory_.size());
  if (count == 0 && of(cluster) == 0) return;
  std::uint16_t& cell = cell_of(cluster);
  if (count >= kLarge) {
    large_[cluster] = count;
  } else if ((cell & kCount) == kLarge) {
    large_.erase(cluster);
  }
  const std::uint64_t naming = cell & std::uint64_t{kNaming};
  cell = static_cast<std::uint16_t>(naming | std::min<std::uint64_t>(count, kLarge));
}

void ReferenceCounts::add_large(std::uint64_t cluster, std::uint64_t times) { set(cluster, of(cluster) + times); }

std::uint64_t ReferenceCounts::largest() const {
  std::uint64_t most = 0;
  for (const auto& [cluster, count] : large_) most = std::max(most, count);
  if (most > 0) return most;
  for (const Group& group : groups_) {
    for (const std::uint16_t cell : group) most = std::max<std::uint64_t>(most, cell & kCount);
  }
  return most;
}

std::uint64_t ReferenceCounts::end() const {
  std::uint64_t group = directory_.size();
  while (group > 0 && directory_[group - 1] == nullptr) --group;
  std::uint64_t end = group * kGroup;
  while (end > 0 && of(end - 1) == 0) --end;
  return end;
}

std::uint64_t ReferenceCounts::next_referenced(std::uint64_t cluster, std::uint64_t limit) const {
  for (cluster = skip_unreferenced(cluster, limit); cluster < limit && of(cluster) == 0;) {
    cluster = skip_unreferenced(cluster + 1, limit);
  }
  return cluster;
}

std::uint64_t ReferenceCounts::skip_unreferenced(std::uint64_t cluster, std::uint64_t limit) const {
  while (cluster < limit && cluster / kGroup < directory_.size() && directory_[cluster / kGroup] == nullptr) {
    cluster = (cluster / kGroup + 1) * kGroup;
  }
  return cluster / kGroup < directory_.size() ? std::min(cluster, limit) : limit;
}

}  // namespace flatimg::qcow2
