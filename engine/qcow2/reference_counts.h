// How often each host cluster is referenced, and how the active tables name it: a sparse array of counters.
//
// Invariants:
//   1. Memory follows the references that were really counted (512 bytes for each group of 256 clusters that has one)
//      and the number of clusters in the file (8 bytes for each such group), never a number in the image.
//   2. Counters are exact: what does not fit into 14 bits lives in a hash map.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

namespace flatimg::qcow2 {

/// How entries of active tables name a cluster: with the COPIED flag, without it. Bits that add up.
enum class Naming : std::uint16_t { AsOwn = 0x4000, AsShared = 0x8000 };

class ReferenceCounts {
 public:
  /// For the host clusters 0 .. clusters - 1.
  explicit ReferenceCounts(std::uint64_t clusters);
  ReferenceCounts(ReferenceCounts&&) = default;
  ReferenceCounts& operator=(ReferenceCounts&&) = default;

  /// `times` more references to a cluster.
  void add(std::uint64_t cluster, std::uint64_t times) {
    std::uint16_t& cell = cell_of(cluster);
    const std::uint64_t count = (cell & kCount) + times;
    if (count >= kLarge) return add_large(cluster, times);
    cell = static_cast<std::uint16_t>(cell + times);
  }
  void set(std::uint64_t cluster, std::uint64_t count);
  void note(std::uint64_t cluster, Naming naming) {
    std::uint16_t& cell = cell_of(cluster);
    cell = static_cast<std::uint16_t>(cell | static_cast<std::uint16_t>(naming));
  }
  /// 0 for every cluster outside.
  [[nodiscard]] std::uint64_t of(std::uint64_t cluster) const;

  /// Whether a cluster with this counter on disk needs a closer look: its references are others than that, or some
  /// entry names it otherwise than the counter has it.
  [[nodiscard]] bool agrees(std::uint64_t cluster, std::uint64_t counter) const {
    const std::uint64_t group = cluster / kGroup;
    const std::uint16_t cell =
        group < directory_.size() && directory_[group] != nullptr ? (*directory_[group])[cluster % kGroup] : 0;
    const auto wrong = static_cast<std::uint16_t>(counter == 1 ? Naming::AsShared : Naming::AsOwn);
    return (cell & kCount) == counter && (cell & kCount) != kLarge && (cell & wrong) == 0;
  }

  /// The highest count of all.
  [[nodiscard]] std::uint64_t largest() const;
  /// The first cluster from `cluster` on that has a reference; `limit` when there is none below it.
  [[nodiscard]] std::uint64_t next_referenced(std::uint64_t cluster, std::uint64_t limit) const;

  /// One more than the highest cluster with a reference.
  [[nodiscard]] std::uint64_t end() const;

  /// The first cluster from `cluster` on that may have a reference: skips what certainly has none. At most `limit`.
  [[nodiscard]] std::uint64_t skip_unreferenced(std::uint64_t cluster, std::uint64_t limit) const;

 private:
  static constexpr std::uint64_t kGroup = 256;
  static constexpr std::uint16_t kCount = 0x3fff;
  static constexpr std::uint16_t kLarge = kCount;   // the count is in large_
  static constexpr std::uint16_t kNaming = 0xc000;  // see Naming
  using Group = std::array<std::uint16_t, kGroup>;

  std::uint16_t& cell_of(std::uint64_t cluster) {
    Group*& group = directory_[cluster / kGroup];
    if (group == nullptr) group = &groups_.emplace_back();
    return (*group)[cluster % kGroup];
  }
  void add_large(std::uint64_t cluster, std::uint64_t times);

  std::vector<Group*> directory_;  // into groups_; nullptr: no reference in the group
  std::deque<Group> groups_;
  std::unordered_map<std::uint64_t, std::uint64_t> large_;
};

}  // namespace flatimg::qcow2
