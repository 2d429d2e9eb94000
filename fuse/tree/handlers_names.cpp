// Requests about names: lookup, forget, symbolic links.
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>

#include "fuse/tree/handlers.h"

namespace flatimg::flat::tree::handlers {

Passed<NodePtr> node_at(fuse_req_t request, fuse_ino_t number) {
  if (FactNodes::has(number)) return refused(EPERM);  // what handlers_facts.cpp does not answer
  NodePtr node = tree_of(request).nodes.find(number);
  if (node == nullptr) return refused(ESTALE);
  return node;
}

void reply_errno(fuse_req_t request, int os_error) {
  if (os_error != 0) mount_of(request).counters.add_error();
  fuse_reply_err(request, os_error);
}

fuse_entry_param entry_of(Tree& tree, const Node& node, const Located& located) {
  const Told attributes = told(tree, located, node.shown_as);
  fuse_entry_param entry{};
  entry.ino = node.number;
  entry.attr = attributes.status;
  entry.attr_timeout = attributes.valid;
  entry.entry_timeout = S_ISDIR(node.type) ? 0 : kNamesOfFilesValid;
  return entry;
}

void reply_entry(fuse_req_t request, const NodePtr& directory, const Passed<Located>& located) {
  if (!located) return reply_errno(request, located.error());
  Tree& tree = tree_of(request);
  const auto node = enter(tree, directory, *located);
  if (!node) return reply_errno(request, node.error());
  const fuse_entry_param entry = entry_of(tree, **node, *located);
  if (fuse_reply_entry(request, &entry) == -ENOENT) tree.nodes.forget((*node)->number, 1);  // it was interrupted
}

// What is absent is not remembered by the kernel: it may be made underneath at any time.
void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  if (FactNodes::has(parent) || (parent == Nodes::kRoot && name == kFactsName)) {
    return lookup_fact(request, parent, name);
  }
  const auto directory = node_at(request, parent);
  if (!directory) return reply_errno(request, directory.error());
  if (!(*directory)->directory.valid()) return reply_errno(request, ENOTDIR);
  const auto located = locate(tree_of(request), **directory, name);
  if (!located && located.error() == ENOENT) return void(fuse_reply_err(request, ENOENT));  // nothing went wrong
  reply_entry(request, *directory, located);
}

void forget(fuse_req_t request, fuse_ino_t number, std::uint64_t lookups) {
  fuse_forget_data one{number, lookups};
  forget_multi(request, 1, &one);
}

void forget_multi(fuse_req_t request, std::size_t count, fuse_forget_data* forgotten) {
  for (const fuse_forget_data& one : std::span(forgotten, count)) {
    Tree& tree = tree_of(request);
    FactNodes::has(one.ino) ? tree.facts.forget(one.ino, one.nlookup) : tree.nodes.forget(one.ino, one.nlookup);
  }
  fuse_reply_none(request);
}

// Shown as it is: where it leads is for the kernel of whoever reads it.
void readlink(fuse_req_t request, fuse_ino_t number) {
  const auto node = node_at(request, number);
  if (!node) return reply_errno(request, node.error());
  const auto pinned = pin(tree_of(request), **node);
  if (!pinned) return reply_errno(request, pinned.error());
  std::array<char, PATH_MAX> target{};
  const ssize_t length = ::readlinkat((*pinned)->get(), "", target.data(), target.size() - 1);
  if (length < 0) return reply_errno(request, errno);
  target[static_cast<std::size_t>(length)] = '\0';
  fuse_reply_readlink(request, target.data());
}

}  // namespace flatimg::flat::tree::handlers
