#include "fuse/tree/fact_nodes.h"

#include <fmt/format.h>

#include <functional>

namespace flatimg::flat::tree {

std::string FactNodes::name_of(const Fact& fact) {
  const FileKey key = fact.of ? fact.of->key : FileKey();
  return fmt::format("{} {} {}+{} {}:{}:{} {}", static_cast<unsigned>(fact.kind), fact.part, fact.where.begin.value(),
                     fact.where.length.value(), key.device, key.inode, key.birth, fact.snapshot_id);
}

FactPtr FactNodes::find(std::uint64_t number) const {
  const MutexLock lock(mutex_);
  const auto found = by_number_.find(number);
  return found == by_number_.end() ? nullptr : found->second.fact;
}

// A node that was entered again goes to the place where its image is now.
FactPtr FactNodes::enter(Fact wanted) {
  std::string name = name_of(wanted);
  FactPtr replaced;  // not destroyed while the mutex is held
  const MutexLock lock(mutex_);
  const auto [known, is_new] = by_name_.try_emplace(std::move(name), next_number_);
  if (is_new) ++next_number_;
  Entry& entry = by_number_[known->second];
  replaced = std::move(entry.fact);
  wanted.number = known->second;
  entry.fact = std::make_shared<const Fact>(std::move(wanted));
  ++entry.lookups;
  return entry.fact;
}

void FactNodes::forget(std::uint64_t number, std::uint64_t lookups) {
  FactPtr dropped;
  const MutexLock lock(mutex_);
  const auto found = by_number_.find(number);
  if (found == by_number_.end()) return;
  found->second.lookups -= std::min(found->second.lookups, lookups);
  if (found->second.lookups > 0) return;
  dropped = std::move(found->second.fact);
  by_name_.erase(name_of(*dropped));
  by_number_.erase(found);
}

std::uint64_t shown_inode(const Fact& fact) {
  constexpr std::uint64_t kOurs = std::uint64_t{1} << 63;
  constexpr unsigned kKindBits = 3;
  const std::uint64_t of_image =
      (fact.of ? fact.of->key.inode : 0) << kKindBits | static_cast<std::uint64_t>(fact.kind);
  const std::uint64_t of_snapshot = fact.kind == FactKind::Snapshot ? std::hash<std::string>{}(fact.snapshot_id) : 0;
  constexpr unsigned kPartShift = 48;
  return kOurs | (of_image ^ of_snapshot ^ std::uint64_t{fact.part} << kPartShift);
}

}  // namespace flatimg::flat::tree
