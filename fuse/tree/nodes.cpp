#include "fuse/tree/nodes.h"

namespace flatimg::flat::tree {

Nodes::Nodes(Descriptor root, const Seen& seen)
    : root_(std::make_shared<Node>(kRoot, seen, ShownAs::ItIs, std::move(root))) {
  const MutexLock lock(mutex_);
  root_->lookups_ = 1;  // the kernel never forgets it
  by_number_.emplace(kRoot, root_);
  by_key_.emplace(seen.key, root_.get());
}

NodePtr Nodes::find(std::uint64_t number) const {
  const MutexLock lock(mutex_);
  const auto found = by_number_.find(number);
  return found == by_number_.end() ? nullptr : found->second;
}

Node* Nodes::current(const FileKey& key) const {
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : found->second;
}

Nodes::Memory Nodes::recall(const FileKey& key) const {
  const MutexLock lock(mutex_);
  const Node* const node = current(key);
  return node == nullptr ? Memory() : memory_of(*node);
}

Nodes::Memory Nodes::memory_of(const Node& node) const {
  return {node.known_, node.handles_ > 0 ? std::optional(node.shown_as) : std::nullopt, node.retired_};
}

std::optional<std::uint64_t> Nodes::number_of(const FileKey& key) const {
  const MutexLock lock(mutex_);
  const Node* const node = current(key);
  return node == nullptr ? std::nullopt : std::optional(node->number);
}

bool Nodes::needs_descriptor(const FileKey& key) const {
  const MutexLock lock(mutex_);
  const Node* const node = current(key);
  return node == nullptr || !node->directory.valid();
}

NodePtr Nodes::add(const Seen& seen, ShownAs shown, Descriptor held) {
  auto node = std::make_shared<Node>(next_number_++, seen, shown, std::move(held));
  by_number_.emplace(node->number, node);
  by_key_[seen.key] = node.get();
  return node;
}

NodePtr Nodes::enter(const Seen& seen, const KnownKind& kind, Place place, Descriptor held) {
  const MutexLock lock(mutex_);
  Node* const before = current(seen.key);
  NodePtr node;
  const bool same_type = before != nullptr && before->type == (seen.status.st_mode & S_IFMT);
  if (same_type && (before->shown_as == kind.shown_as() || before->handles_ > 0)) {
    node = by_number_.at(before->number);
  } else {
    if (before != nullptr) before->retired_ = true;
    node = add(seen, kind.shown_as(), std::move(held));
  }
  ++node->lookups_;
  node->known_ = kind;
  if (node != root_) node->place_ = std::move(place);
  return node;
}

void Nodes::drop_if_unused(Node& node, std::vector<NodePtr>& dropped) {
  if (node.lookups_ > 0 || node.handles_ > 0) return;
  const auto found = by_number_.find(node.number);
  if (found == by_number_.end()) return;
  if (current(node.key) == &node) by_key_.erase(node.key);
  dropped.push_back(std::move(found->second));
  by_number_.erase(found);
}

void Nodes::forget(std::uint64_t number, std::uint64_t lookups) {
  std::vector<NodePtr> dropped;
  const MutexLock lock(mutex_);
  const auto found = by_number_.find(number);
  if (found == by_number_.end() || number == kRoot) return;
  Node& node = *found->second;
  node.lookups_ -= std::min(node.lookups_, lookups);
  drop_if_unused(node, dropped);
}

void Nodes::learn(const Node& node, const KnownKind& kind) {
  const MutexLock lock(mutex_);
  if (const auto found = by_number_.find(node.number); found != by_number_.end()) found->second->known_ = kind;
}

Nodes::Memory Nodes::known(const Node& node) const {
  const MutexLock lock(mutex_);
  return memory_of(node);
}

Place Nodes::place_of(const Node& node) const {
  const MutexLock lock(mutex_);
  return node.place_;
}

std::string Nodes::path_of(const Node& node) const {
  const MutexLock lock(mutex_);
  std::string path;
  for (const Node* at = &node; at->place_.directory != nullptr; at = at->place_.directory.get()) {
    path = path.empty() ? at->place_.name : at->place_.name + "/" + path;
  }
  return path;
}

void Nodes::moved(const Place& from, const FileKey& key, Place to) {
  const MutexLock lock(mutex_);
  Node* const node = current(key);
  if (node == nullptr || node->place_.directory != from.directory || node->place_.name != from.name) return;
  node->place_ = std::move(to);
}

std::optional<unsigned> Nodes::add_handle(Node& node, std::shared_ptr<const Descriptor> held) {
  const MutexLock lock(mutex_);
  if (node.retired_) return std::nullopt;
  if (node.handles_ == 0) node.held_ = std::move(held);
  return node.handles_++;
}

void Nodes::remove_handle(Node& node) {
  std::vector<NodePtr> dropped;
  std::shared_ptr<const Descriptor> held;
  const MutexLock lock(mutex_);
  if (--node.handles_ == 0) held = std::move(node.held_);
  drop_if_unused(node, dropped);
}

std::shared_ptr<const Descriptor> Nodes::held(const Node& node) const {
  const MutexLock lock(mutex_);
  return node.held_;
}

std::size_t Nodes::count() const {
  const MutexLock lock(mutex_);
  return by_number_.size();
}

}  // namespace flatimg::flat::tree
