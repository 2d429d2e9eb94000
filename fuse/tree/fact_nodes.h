// The nodes beneath .flatimg/, which stand for no file: folders that mirror those of SOURCE, and in them for each image
// a folder of its own with what is told of it.
//
//   .flatimg/                            Folder of SOURCE
//   .flatimg/some/where/                 Folder of a directory
//   .flatimg/some/where/disk.qcow2/      Image
//     info.json map.json stats.json      texts, made when they are opened
//     p1 p1.LABEL p2 ...                 Part: a partition of the disk; by two names where its label is plain
//     snapshots/                         Snapshots
//     snapshots/NAME                     Snapshot: its disk, for reading only
//
// Owner and mode are those of the directory or image, without the right to write except of partitions: nobody is told
// of an image who may not read it. Numbers lie above those of all other nodes.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "base/range.h"
#include "base/ranked_mutex.h"
#include "fuse/tree/nodes.h"

namespace flatimg::flat::tree {

enum class FactKind : unsigned char { Folder, Image, Info, Map, Stats, Snapshots, Snapshot, Part };

struct Fact {
  std::uint64_t number = 0;
  FactKind kind = FactKind::Folder;
  NodePtr of;               // the directory or image; nullptr in the mount of one image
  std::string snapshot_id;  // of a Snapshot
  unsigned part = 0;        // of a Part: its number
  GuestRange where;         // of a Part: only where the kernel believes nobody about sizes; else empty

  [[nodiscard]] bool is_folder() const {
    return kind == FactKind::Folder || kind == FactKind::Image || kind == FactKind::Snapshots;
  }
};
using FactPtr = std::shared_ptr<const Fact>;

class FactNodes {
 public:
  static constexpr std::uint64_t kFirst = std::uint64_t{1} << 62;
  [[nodiscard]] static bool has(std::uint64_t number) { return number >= kFirst; }

  [[nodiscard]] FactPtr find(std::uint64_t number) const EXCLUDES(mutex_);
  /// The node for that, with one lookup more; its number is given here. `of` is found again by its key.
  FactPtr enter(Fact wanted) EXCLUDES(mutex_);
  void forget(std::uint64_t number, std::uint64_t lookups) EXCLUDES(mutex_);

 private:
  struct Entry {
    FactPtr fact;
    std::uint64_t lookups = 0;
  };
  static std::string name_of(const Fact& fact);

  mutable Mutex mutex_{Rank::Queue};
  std::uint64_t next_number_ GUARDED_BY(mutex_) = kFirst;
  std::unordered_map<std::uint64_t, Entry> by_number_ GUARDED_BY(mutex_);
  std::unordered_map<std::string, std::uint64_t> by_name_ GUARDED_BY(mutex_);
};

/// The inode number that stat() shows: the same for the same file in every mount.
[[nodiscard]] std::uint64_t shown_inode(const Fact& fact);

}  // namespace flatimg::flat::tree
