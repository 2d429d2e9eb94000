// From a node, or from a name in a directory, to the file underneath: where it is, what it is, how it is shown.
#pragma once

#include <memory>
#include <string>

#include "fuse/tree/tree.h"

namespace flatimg::flat::tree {

/// A file that a name of the mount stands for.
struct Located {
  Seen seen;
  KnownKind kind;
  std::string name;  // as it is underneath, without the suffix

  /// What it is shown as.
  [[nodiscard]] ShownAs shown_as() const { return kind.shown_as(); }
};

/// What a name of the mount leads to. With suffix=, an image has that name only whose own name with the suffix it is,
/// unless there is a file of that name: such an image keeps its own.
Passed<Located> locate(Tree& tree, const Node& directory, const std::string& name);

/// The file of that name underneath as it is shown, and the name that it has in the mount.
struct Listed {
  Located located;
  std::string shown_name;
};
Passed<Listed> as_listed(Tree& tree, const Node& directory, const std::string& real_name);

/// The name underneath for one that is about to be made. EINVAL where it would be a name that images never have.
Passed<std::string> name_to_make(const Tree& tree, const Node& directory, const std::string& name);

/// The node for what was located; the kernel is told of it.
Passed<NodePtr> enter(Tree& tree, const NodePtr& directory, const Located& located);

/// The file of a node as it is now. ESTALE when it is no longer at its place, or is shown in another way by now: the
/// kernel then looks the name up again.
Passed<Located> look(Tree& tree, const Node& node);

/// Holds the file of a node (O_PATH), whatever becomes of its name.
Passed<std::shared_ptr<const Descriptor>> pin(Tree& tree, const Node& node);

/// Opens the file of a node as it is, as whoever is acting now. O_CLOEXEC and O_NONBLOCK are added.
Passed<Descriptor> open_pinned(const Descriptor& pinned, int flags);

/// Absolute, underneath: for messages, and for what images name relative to themselves.
[[nodiscard]] std::string source_path(const Tree& tree, const Node& node);

}  // namespace flatimg::flat::tree
