#include "fuse/tree/locate.h"

#include <fcntl.h>

#include <cerrno>

namespace flatimg::flat::tree {

namespace {

/// How often a file is followed that is renamed while we look for it.
constexpr int kTries = 8;

KnownKind kind_now(const Nodes::Memory& memory, const Descriptor& directory, const std::string& name,
                   const Seen& seen) {
  if (!S_ISREG(seen.status.st_mode)) return {};
  if (still_holds(memory.known, seen.status)) return memory.known;
  return kind_of(directory, name, seen);
}

Passed<Located> see_and_judge(Tree& tree, const Node& directory, const std::string& name) {
  PASS(const Seen seen, see(directory.directory, name, tree.own_device));
  const Nodes::Memory memory = tree.nodes.recall(seen.key);
  Located located{seen, kind_now(memory, directory.directory, name, seen), name};
  // While handles are open on it, it stays what it was.
  if (memory.pinned == ShownAs::ItIs) located.kind.kind = KnownKind::Kind::Ordinary;
  if (memory.pinned == ShownAs::Disk && located.kind.kind == KnownKind::Kind::Ordinary) located.kind = memory.known;
  return located;
}

bool exists(const Tree& tree, const Node& directory, const std::string& name) {
  return see(directory.directory, name, tree.own_device).has_value();
}

/// The name of an image in the mount.
std::string suffixed(const Tree& tree, const Node& directory, const std::string& real_name) {
  std::string name = real_name + tree.options.suffix;
  return exists(tree, directory, name) ? real_name : name;
}

Passed<Located> locate_without_suffix(Tree& tree, const Node& directory, const std::string& name) {
  const std::string& suffix = tree.options.suffix;
  if (!name.ends_with(suffix) || name.size() == suffix.size()) return refused(ENOENT);
  auto image = see_and_judge(tree, directory, name.substr(0, name.size() - suffix.size()));
  if (image && image->shown_as() != ShownAs::Disk) return refused(ENOENT);
  return image;
}

bool is_at(const Place& a, const Place& b) { return a.directory == b.directory && a.name == b.name; }

/// What is at the place of a node, if it is that file; follows it when it is renamed meanwhile.
template <class T>
Passed<T> at_place(Tree& tree, const Node& node, Passed<T> (*take)(Tree&, const Place&, const FileKey&)) {
  Place place = tree.nodes.place_of(node);
  for (int i = 0;; ++i) {
    auto taken = take(tree, place, node.key);
    if (taken || (taken.error() != ESTALE && taken.error() != ENOENT)) return taken;
    Place now = tree.nodes.place_of(node);
    if (is_at(now, place) || i == kTries) return refused(ESTALE);
    place = std::move(now);
  }
}

Passed<Seen> see_at(Tree& tree, const Place& place, const FileKey& key) {
  PASS(const Seen seen, see(place.directory->directory, place.name, tree.own_device));
  if (seen.key != key) return refused(ESTALE);
  return seen;
}

Passed<std::shared_ptr<const Descriptor>> pin_at(Tree& tree, const Place& place, const FileKey& key) {
  PASS(const Seen first, see(place.directory->directory, place.name, tree.own_device));
  PASS(Descriptor pinned, open_name(place.directory->directory, place.name, O_PATH));
  PASS(const Seen seen, see(pinned));
  if (first.key != key || seen.key != key) return refused(ESTALE);
  return std::make_shared<const Descriptor>(std::move(pinned));
}

Passed<Seen> see_node(Tree& tree, const Node& node) {
  if (node.directory.valid()) return see(node.directory);
  if (const auto held = tree.nodes.held(node)) return see(*held);
  return at_place<Seen>(tree, node, see_at);
}

}  // namespace

Passed<Located> locate(Tree& tree, const Node& directory, const std::string& name) {
  if (tree.options.suffix.empty()) return see_and_judge(tree, directory, name);
  auto own = see_and_judge(tree, directory, name);
  if (!own && own.error() == ENOENT) return locate_without_suffix(tree, directory, name);
  if (own && own->shown_as() == ShownAs::Disk && suffixed(tree, directory, name) != name) {
    return locate_without_suffix(tree, directory, name);
  }
  return own;
}

Passed<Listed> as_listed(Tree& tree, const Node& directory, const std::string& real_name) {
  PASS(Located located, see_and_judge(tree, directory, real_name));
  const bool other_name = !tree.options.suffix.empty() && located.shown_as() == ShownAs::Disk;
  std::string name = other_name ? suffixed(tree, directory, real_name) : real_name;
  return Listed{std::move(located), std::move(name)};
}

Passed<std::string> name_to_make(const Tree& tree, const Node& directory, const std::string& name) {
  if (directory.number == Nodes::kRoot && name == kFactsName) return refused(EPERM);
  if (!tree.source_is_written()) return refused(EROFS);
  return name;
}

Passed<NodePtr> enter(Tree& tree, const NodePtr& directory, const Located& located) {
  Descriptor held;
  if (S_ISDIR(located.seen.status.st_mode) && tree.nodes.needs_descriptor(located.seen.key)) {
    PASS(held, open_name(directory->directory, located.name, O_PATH | O_DIRECTORY));
    PASS(const Seen seen, see(held));
    if (seen.key != located.seen.key) return refused(ESTALE);
  }
  NodePtr node = tree.nodes.enter(located.seen, located.kind, {directory, located.name}, std::move(held));
  // It was forgotten between the question and the answer.
  if (S_ISDIR(node->type) && !node->directory.valid()) {
    tree.nodes.forget(node->number, 1);
    return refused(ESTALE);
  }
  return node;
}

Passed<Located> look(Tree& tree, const Node& node) {
  PASS(const Seen seen, see_node(tree, node));
  const Nodes::Memory memory = tree.nodes.known(node);
  if (memory.retired) return refused(ESTALE);
  Located located{seen, memory.known, tree.nodes.place_of(node).name};
  const bool settled = !S_ISREG(seen.status.st_mode) || memory.pinned || still_holds(memory.known, seen.status);
  if (settled) return located;
  PASS(const auto pinned, pin(tree, node));
  auto file = open_pinned(*pinned, O_RDONLY);
  located.kind = file ? kind_of(*std::move(file), seen, located.name) : memory.known;
  tree.nodes.learn(node, located.kind);
  if (located.shown_as() != node.shown_as) return refused(ESTALE);
  return located;
}

Passed<std::shared_ptr<const Descriptor>> pin(Tree& tree, const Node& node) {
  if (node.directory.valid()) {
    PASS(Descriptor copy, open_name(node.directory, ".", O_PATH));
    return std::make_shared<const Descriptor>(std::move(copy));
  }
  if (auto held = tree.nodes.held(node)) return held;
  return at_place<std::shared_ptr<const Descriptor>>(tree, node, pin_at);
}

Passed<Descriptor> open_pinned(const Descriptor& pinned, int flags) {
  for (;;) {
    Descriptor opened(::open(path_to(pinned).c_str(), flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (opened.valid()) return opened;
    if (errno != EINTR) return refused(errno);
  }
}

std::string source_path(const Tree& tree, const Node& node) {
  const std::string path = tree.nodes.path_of(node);
  return path.empty() ? tree.source : (tree.source == "/" ? "" : tree.source) + "/" + path;
}

}  // namespace flatimg::flat::tree
