// How often each host cluster is referenced: a sparse array of counters.
//
// Invariants:
//   1. Memory follows the references that were really counted (512 bytes for each group of 256 clusters that has one)
//      and the number of clusters in the file (4 bytes for each such group), never a number in the image.
//   2. Counters are exact: what does not fit into 16 bits lives in a hash map.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

namespace flatimg::qcow2 {

class ReferenceCounts {
 public:
  /// For the host clusters 0 .. clusters - 1.
  explicit ReferenceCounts(std::uint64_t clusters);

  /// `times` more references to a cluster.
  void add(std::uint64_t cluster, std::uint64_t times);
  void set(std::uint64_t cluster, std::uint64_t count);
  /// 0 for every cluster outside.
  [[nodiscard]] std::uint64_t of(std::uint64_t cluster) const;

  /// The highest count of all.
  [[nodiscard]] std::uint64_t largest() const;
  /// The first cluster from `cluster` on that has a reference; `limit` when there is none below it.
  [[nodiscard]] std::uint64_t next_referenced(std::uint64_t cluster, std::uint64_t limit) const;

  /// One more than the highest cluster with a reference.
  [[nodiscard]] std::uint64_t end() const { return end_; }

  /// The first cluster from `cluster` on that may have a reference: skips what certainly has none. At most `limit`.
  [[nodiscard]] std::uint64_t skip_unreferenced(std::uint64_t cluster, std::uint64_t limit) const;

 private:
  static constexpr std::uint64_t kGroup = 256;
  static constexpr std::uint16_t kLarge = 0xffff;  // the count is in large_
  using Group = std::array<std::uint16_t, kGroup>;

  std::vector<std::uint32_t> directory_;  // 1 + position in groups_; 0: no reference in the group
  std::deque<Group> groups_;
  std::unordered_map<std::uint64_t, std::uint64_t> large_;
  std::uint64_t end_ = 0;
};

}  // namespace flatimg::qcow2
