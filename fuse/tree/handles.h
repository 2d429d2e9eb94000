// What an open file of a tree is to us. The kernel brings the address of one with each request on it.
#pragma once

#include <dirent.h>

#include <array>
#include <memory>
#include <span>
#include <string>
#include <variant>

#include "fuse/libfuse.h"
#include "fuse/tree/nodes.h"
#include "fuse/tree/open_image.h"
#include "fuse/tree/parts.h"
#include "fuse/tree/snapshots.h"

namespace flatimg::flat::tree {

/// The flat disk of an image.
struct DiskHandle {
  NodePtr node;
  std::shared_ptr<OpenImage> image;
  Access access = Access::ReadOnly;
};

/// An ordinary file.
///
/// A raw disk is one of these, and what a guest writes into its first sector must not make it an image of another
/// format (promise S4): the next look at it would follow the names in there. So a write that would do that is refused,
/// unless the file was made or filled through this handle from the beginning, as cp and qemu-img do it.
struct FileHandle {
  NodePtr node;
  Descriptor file;
  Access access = Access::ReadOnly;
  std::atomic<bool> fresh{false};  // the file was empty at some time since it was opened

  FileHandle(NodePtr of, Descriptor opened, Access how) : node(std::move(of)), file(std::move(opened)), access(how) {}
};

/// A directory that is being read.
struct ListHandle {
  struct Close {
    void operator()(DIR* stream) const { ::closedir(stream); }
  };
  NodePtr node;
  std::unique_ptr<DIR, Close> directory;
  Mutex mutex{Rank::Session};  // one reader at a time: a DIR has a position
  long position GUARDED_BY(mutex) = 0;

  ListHandle(NodePtr of, DIR* opened) : node(std::move(of)), directory(opened) {}
};

/// A text as it was when it was opened.
struct TextHandle {
  std::string text;
};

/// A snapshot, for reading.
struct SnapshotHandle {
  std::unique_ptr<OpenSnapshot> snapshot;
};

/// A partition. Its pages are never kept (direct_io): whoever writes the whole disk changes it as well.
struct PartHandle {
  std::unique_ptr<OpenPart> part;
};

/// A folder of .flatimg/ as it was when it was opened.
struct FolderHandle {
  std::vector<FolderItem> items;
};

using Handle = std::variant<DiskHandle, FileHandle, ListHandle, TextHandle, SnapshotHandle, PartHandle, FolderHandle>;

[[nodiscard]] inline Handle& handle_of(const fuse_file_info& info) { return *reinterpret_cast<Handle*>(info.fh); }
[[nodiscard]] inline std::uint64_t number_for(const Handle& handle) { return reinterpret_cast<std::uint64_t>(&handle); }

}  // namespace flatimg::flat::tree
