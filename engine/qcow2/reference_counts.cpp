#include "qcow2/reference_counts.h"

#include <algorithm>
#include <cassert>

#include "base/checked.h"

namespace flatimg::qcow2 {

ReferenceCounts::ReferenceCounts(std::uint64_t clusters) : directory_(ceil_divide(clusters, kGroup)) {}

std::uint64_t ReferenceCounts::of(std::uint64_t cluster) const {
  const std::uint64_t group = cluster / kGroup;
  if (group >= directory_.size() || directory_[group] == 0) return 0;
  const std::uint16_t count = groups_[directory_[group] - 1][cluster % kGroup];
  return count == kLarge ? large_.at(cluster) : count;
}

void ReferenceCounts::set(std::uint64_t cluster, std::uint64_t count) {
  const std::uint64_t group = cluster / kGroup;
  assert(group < directory_.size());
  if (directory_[group] == 0) {
    if (count == 0) return;
    groups_.push_back(Group{});
    directory_[group] = static_cast<std::uint32_t>(groups_.size());
  }
  std::uint16_t& counter = groups_[directory_[group] - 1][cluster % kGroup];
  if (count >= kLarge) {
    large_[cluster] = count;
  } else if (counter == kLarge) {
    large_.erase(cluster);
  }
  counter = static_cast<std::uint16_t>(std::min<std::uint64_t>(count, kLarge));
  end_ = std::max(end_, cluster + 1);
}

void ReferenceCounts::add(std::uint64_t cluster, std::uint64_t times) { set(cluster, of(cluster) + times); }

std::uint64_t ReferenceCounts::largest() const {
  std::uint64_t most = 0;
  for (const auto& [cluster, count] : large_) most = std::max(most, count);
  if (most > 0) return most;
  for (const Group& group : groups_)
    most = std::max<std::uint64_t>(most, *std::max_element(group.begin(), group.end()));
  return most;
}

std::uint64_t ReferenceCounts::next_referenced(std::uint64_t cluster, std::uint64_t limit) const {
  for (cluster = skip_unreferenced(cluster, limit); cluster < limit && of(cluster) == 0;) {
    cluster = skip_unreferenced(cluster + 1, limit);
  }
  return cluster;
}

std::uint64_t ReferenceCounts::skip_unreferenced(std::uint64_t cluster, std::uint64_t limit) const {
  while (cluster < limit && cluster / kGroup < directory_.size() && directory_[cluster / kGroup] == 0) {
    cluster = (cluster / kGroup + 1) * kGroup;
  }
  return cluster / kGroup < directory_.size() ? std::min(cluster, limit) : limit;
}

}  // namespace flatimg::qcow2
