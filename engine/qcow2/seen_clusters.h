// What an audit has seen of the host clusters in a window of the file, two bits for each.
//
// Invariant: a cluster that is `alone` was named by one entry at a moment when it was counted once, and it has not been
// free since: FreeSpace says so of every cluster that becomes free. So a second entry that names it contradicts.
#pragma once

#include <vector>

#include "qcow2/refcounts.h"

namespace flatimg::qcow2 {

class SeenClusters {
 public:
  /// 2 MiB for each of the two.
  static constexpr std::uint64_t kMostClusters = std::uint64_t{16} << 20;

  explicit SeenClusters(ClusterRun window) : window_(window), mentioned_(window.count), alone_(window.count) {}

  [[nodiscard]] ClusterRun window() const { return window_; }
  [[nodiscard]] bool is_alone(std::uint64_t cluster) const {
    return inside(cluster) && alone_[cluster - window_.first];
  }
  /// Clusters outside the window count as mentioned.
  [[nodiscard]] bool is_mentioned(std::uint64_t cluster) const {
    return !inside(cluster) || mentioned_[cluster - window_.first];
  }
  void note_alone(std::uint64_t cluster) {
    if (inside(cluster)) alone_[cluster - window_.first] = true;
  }
  /// It is used, or will be: no leak.
  void note_mentioned(ClusterRun run) {
    const ClusterRun part = inside(run);
    for (std::uint64_t cluster = part.first; cluster < part.end(); ++cluster)
      mentioned_[cluster - window_.first] = true;
  }
  /// It is free, whoever named it before.
  void forget(ClusterRun run) {
    const ClusterRun part = inside(run);
    for (std::uint64_t cluster = part.first; cluster < part.end(); ++cluster) alone_[cluster - window_.first] = false;
  }

 private:
  [[nodiscard]] bool inside(std::uint64_t cluster) const { return cluster >= window_.first && cluster < window_.end(); }
  [[nodiscard]] ClusterRun inside(ClusterRun run) const {
    const std::uint64_t first = std::max(run.first, window_.first);
    const std::uint64_t end = std::min(run.end(), window_.end());
    return {first, end > first ? end - first : 0};
  }

  ClusterRun window_;
  std::vector<bool> mentioned_;
  std::vector<bool> alone_;
};

}  // namespace flatimg::qcow2
