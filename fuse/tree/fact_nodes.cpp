#include "fuse/tree/fact_nodes.h"

#include <fmt/format.h>

#include <functional>

namespace flatimg::flat::tree {

std::string FactNodes::name_of(FactKind kind, const NodePtr& of, const std::string& snapshot_id) {
  return fmt::format("{} {}:{}:{} {}", static_cast<unsigned>(kind), of->key.device, of->key.inode, of->key.birth,
                     snapshot_id);
}

FactPtr FactNodes::find(std::uint64_t number) const {
  const MutexLock lock(mutex_);
  const auto found = by_number_.find(number);
  return found == by_number_.end() ? nullptr : found->second.fact;
}

// A node that was entered again goes to the place where its image is now.
FactPtr FactNodes::enter(FactKind kind, const NodePtr& of, const std::string& snapshot_id) {
  std::string name = name_of(kind, of, snapshot_id);
  FactPtr replaced;  // not destroyed while the mutex is held
  const MutexLock lock(mutex_);
  const auto [known, is_new] = by_name_.try_emplace(std::move(name), next_number_);
  if (is_new) ++next_number_;
  Entry& entry = by_number_[known->second];
  replaced = std::move(entry.fact);
  entry.fact = std::make_shared<const Fact>(Fact{known->second, kind, of, snapshot_id});
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
  by_name_.erase(name_of(dropped->kind, dropped->of, dropped->snapshot_id));
  by_number_.erase(found);
}

std::uint64_t shown_inode(const Fact& fact) {
  constexpr std::uint64_t kOurs = std::uint64_t{1} << 63;
  constexpr unsigned kKindBits = 3;
  const std::uint64_t of_image = fact.of->key.inode << kKindBits | static_cast<std::uint64_t>(fact.kind);
  const std::uint64_t of_snapshot = fact.kind == FactKind::Snapshot ? std::hash<std::string>{}(fact.snapshot_id) : 0;
  return kOurs | (of_image ^ of_snapshot);
}

}  // namespace flatimg::flat::tree
