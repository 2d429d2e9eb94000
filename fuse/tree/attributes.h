// What stat() says about the files of a tree.
//
// Ordinary files, directories and all others: what the host says, but for the inode number and for uid=, gid=, umask=.
// An image: the same, with the size of its disk. st_blocks of an image that is open are the guest's data; of one that
// is not open, the blocks of its file, at most its size: only its header is read then. While it is open its times stand
// still between flushes, so that the kernel does not take our own writes for somebody else's and drops no pages.
#pragma once

#include "fuse/tree/locate.h"

namespace flatimg::flat::tree {

struct Told {
  struct stat status {};
  double valid = 0;  // seconds for which the kernel need not ask again
};

/// For a file that was looked at as it is shown.
[[nodiscard]] Told told(Tree& tree, const Located& located, ShownAs shown_as);

// Names of what is no directory may be relied on for a while, because whatever is done with such a file compares its
// key first. Directories are entered through their descriptors without a look at the name, so theirs are asked each
// time.
inline constexpr double kNamesOfFilesValid = 1;
// The size of a disk changes only through us while it is open.
inline constexpr double kOpenImageValid = 1;

}  // namespace flatimg::flat::tree
