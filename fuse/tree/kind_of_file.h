// Whether a file of the tree is an image, by its first bytes, and what is remembered of that.
//
// Only files with a header of their own count: a raw disk is an ordinary file, and so is a zstd file without a seek
// table. A file that begins like an image and cannot be one is broken: its stat shows the file as it is, and opening it
// fails and says why. It is never shown as if it were the disk.
#pragma once

#include <string>

#include "base/units.h"
#include "fuse/tree/beneath.h"

namespace flatimg::flat::tree {

enum class ShownAs : unsigned char {
  ItIs,  // the file itself
  Disk,  // what is in the image
};

/// What a look at the first bytes has shown, and of which state of the file.
struct KnownKind {
  enum class Kind : unsigned char { Ordinary, Image, Broken };
  Kind kind = Kind::Ordinary;
  std::string format;      // of an image
  ByteCount virtual_size;  // of an image
  struct State {
    std::int64_t changed = 0;   // st_ctime in nanoseconds
    std::int64_t modified = 0;  // st_mtime
    off_t size = -1;            // -1: nothing is known
    friend bool operator==(const State&, const State&) = default;
  } of;

  [[nodiscard]] ShownAs shown_as() const { return kind == Kind::Ordinary ? ShownAs::ItIs : ShownAs::Disk; }
};

/// Whether `known` still holds for the file as it is now. Never for a file that changed within the last second: clocks
/// of file systems tick slowly, and it may have changed again since.
[[nodiscard]] bool still_holds(const KnownKind& known, const struct stat& now);

/// Reads the first bytes of an open file. `path` is for messages.
[[nodiscard]] KnownKind kind_of(Descriptor file, const Seen& seen, const std::string& path);

/// The same by name, without changing the time of the last access where that is permitted. What cannot be opened is
/// ordinary: whoever opens it is told why.
[[nodiscard]] KnownKind kind_of(const Descriptor& directory, const std::string& name, const Seen& seen);

}  // namespace flatimg::flat::tree
