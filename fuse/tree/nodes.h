// The nodes that the kernel knows: which number stands for which file, and where that file was last seen.
//
//   number  1 is SOURCE; every other file gets the next number when the kernel first hears of it
//   key     device, inode and birth: two names of one file are one node
//   place   the directory's node and a name in it; each lookup and each rename brings it up to date
//
// Directories are held by a descriptor (O_PATH) for as long as the kernel knows them, so that whoever is inside stays
// there whatever becomes of their names; other files only while handles are open on them. A hundred thousand of them
// cost no descriptors: whoever goes to the place of one compares the key, and the kernel looks the name up again on
// ESTALE.
//
// Invariants:
//   1. A node lives while the kernel counts lookups on it, a handle is open on it, or another node lies in it.
//   2. What a node is shown as (the file as it is, or a flat disk) never changes. A file that has become an image, or
//   no
//      longer is one, gets another number: the kernel's pages of the one are never taken for the other. While handles
//      are open on a node that is put off.
//   3. mutex_ is held for moments, never across a system call.
#pragma once

#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/ranked_mutex.h"
#include "fuse/tree/beneath.h"
#include "fuse/tree/kind_of_file.h"

namespace flatimg::flat::tree {

class Node;
using NodePtr = std::shared_ptr<Node>;

/// Where a file is.
struct Place {
  NodePtr directory;  // nullptr: this is SOURCE itself
  std::string name;   // as it is there, without the suffix
};

class Node {
 public:
  Node(std::uint64_t number_given, const Seen& seen, ShownAs shown, Descriptor held)
      : number(number_given),
        key(seen.key),
        type(seen.status.st_mode & S_IFMT),
        shown_as(shown),
        directory(std::move(held)) {}

  const std::uint64_t number;
  const FileKey key;
  const mode_t type;  // S_IFREG ...
  const ShownAs shown_as;
  const Descriptor directory;  // O_PATH, of directories only

 private:
  friend class Nodes;  // these are guarded by its mutex
  Place place_;
  std::uint64_t lookups_ = 0;
  unsigned handles_ = 0;
  bool retired_ = false;                    // another node stands for the file now
  std::shared_ptr<const Descriptor> held_;  // O_PATH, while handles are open
  KnownKind known_;
};

class Nodes {
 public:
  static constexpr std::uint64_t kRoot = 1;

  /// `root` is SOURCE.
  Nodes(Descriptor root, const Seen& seen);

  /// The node with this number; nullptr when there is none.
  [[nodiscard]] NodePtr find(std::uint64_t number) const EXCLUDES(mutex_);
  [[nodiscard]] const NodePtr& root() const { return root_; }

  /// What is known of a file from earlier looks; what it has to be shown as because handles are open on it.
  struct Memory {
    KnownKind known;
    std::optional<ShownAs> pinned;
    bool retired = false;
  };
  [[nodiscard]] Memory recall(const FileKey& key) const EXCLUDES(mutex_);

  /// The kernel is told of a file: the node for it, with one lookup more. `held` is the descriptor of a directory that
  /// is new; see needs_descriptor().
  NodePtr enter(const Seen& seen, const KnownKind& kind, Place place, Descriptor held) EXCLUDES(mutex_);
  /// Whether enter() will want a descriptor for this directory.
  [[nodiscard]] bool needs_descriptor(const FileKey& key) const EXCLUDES(mutex_);
  void forget(std::uint64_t number, std::uint64_t lookups) EXCLUDES(mutex_);
  /// The number by which the kernel knows a file; nullopt when it does not.
  [[nodiscard]] std::optional<std::uint64_t> number_of(const FileKey& key) const EXCLUDES(mutex_);

  /// What a later look at the file has shown.
  void learn(const Node& node, const KnownKind& kind) EXCLUDES(mutex_);
  [[nodiscard]] Memory known(const Node& node) const EXCLUDES(mutex_);
  [[nodiscard]] Place place_of(const Node& node) const EXCLUDES(mutex_);
  /// From SOURCE, "" for SOURCE itself. For messages, and for what images name relative to themselves.
  [[nodiscard]] std::string path_of(const Node& node) const EXCLUDES(mutex_);
  /// A file was renamed through the mount.
  void moved(const Place& from, const FileKey& key, Place to) EXCLUDES(mutex_);

  /// A handle is being opened: how many there were before; nullopt when another node stands for the file. `held`
  /// (O_PATH) stands for the file until the last of them is closed.
  std::optional<unsigned> add_handle(Node& node, std::shared_ptr<const Descriptor> held) EXCLUDES(mutex_);
  /// What holds the file now; nullptr when nothing does.
  [[nodiscard]] std::shared_ptr<const Descriptor> held(const Node& node) const EXCLUDES(mutex_);
  void remove_handle(Node& node) EXCLUDES(mutex_);

  [[nodiscard]] std::size_t count() const EXCLUDES(mutex_);

 private:
  Node* current(const FileKey& key) const REQUIRES(mutex_);
  [[nodiscard]] Memory memory_of(const Node& node) const REQUIRES(mutex_);
  NodePtr add(const Seen& seen, ShownAs shown, Descriptor held) REQUIRES(mutex_);
  /// Takes it out of the tables when nobody needs it any more. Its directory may go with it: `dropped` keeps what must
  /// not be destroyed while the mutex is held.
  void drop_if_unused(Node& node, std::vector<NodePtr>& dropped) REQUIRES(mutex_);

  mutable Mutex mutex_{Rank::Queue};
  NodePtr root_;
  std::uint64_t next_number_ GUARDED_BY(mutex_) = kRoot + 1;
  std::unordered_map<std::uint64_t, NodePtr> by_number_ GUARDED_BY(mutex_);
  std::unordered_map<FileKey, Node*, HashOfKey> by_key_ GUARDED_BY(mutex_);
};

}  // namespace flatimg::flat::tree
