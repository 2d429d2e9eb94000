// Names and files beneath directories that are held by descriptor: what is there, and opening it.
//
// Invariants:
//   1. A name is one component: no path is followed, and no symbolic link. So nothing here leaves SOURCE, and nothing
//      runs over a mount that has been put on SOURCE since: its descriptor was opened before.
//   2. A file is the same file only while its key is the same: a number that the file system gave to another file since
//      comes with another birth.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>

#include "fuse/tree/passed.h"
#include "host/posix_file.h"

namespace flatimg::flat::tree {

struct FileKey {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t birth = 0;  // nanoseconds since 1970; 0 where the file system does not tell
  friend bool operator==(const FileKey&, const FileKey&) = default;
};

struct HashOfKey {
  std::size_t operator()(const FileKey& key) const {
    return std::hash<std::uint64_t>{}(key.inode * 0x9E3779B97F4A7C15u ^ key.device);
  }
};

/// What stat() says, and which file that is.
struct Seen {
  struct stat status {};
  FileKey key;
};

/// What the name is in the directory. ELOOP where it is a mount with the device number `not_on`: our own, which we
/// would have to ask.
Passed<Seen> see(const Descriptor& directory, const std::string& name, std::uint64_t not_on = 0);
/// The same for an open file (also one of O_PATH).
Passed<Seen> see(const Descriptor& file);

/// Opens the name; O_NOFOLLOW, O_CLOEXEC, O_NOCTTY and O_NONBLOCK are added.
Passed<Descriptor> open_name(const Descriptor& directory, const std::string& name, int flags, mode_t mode = 0);

/// A path to what the descriptor stands for, for calls that take no descriptor of O_PATH.
[[nodiscard]] std::string path_to(const Descriptor& descriptor);

}  // namespace flatimg::flat::tree
