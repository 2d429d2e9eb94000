// Image locks that exclude QEMU (single bytes, open-file-description read locks) and flock holders such as crosvm.
//
// QEMU's protocol (block/file-posix.c): byte 100+p says "I use permission p", byte 200+p says "nobody else may use p".
// Every lock is a read lock; conflicts are found by asking whether a write lock would be possible on the opposite byte.
// Both belong to the open file description: they end with its last descriptor, and forking shares them.
//
// flock comes first, then the bytes; on a conflict all are undone.
#pragma once

#include "host/posix_file.h"

namespace flatimg {

enum class LockAs {
  Writer,  // bytes 100 101 103 201 203, flock exclusive
  Reader,  // bytes 100 201 203, flock shared: readers share with readers
};

/// Locks an image file for as long as it stays open. Busy names the holder where /proc tells it. Files that are not
/// posix files (tests) always succeed. A file system without locks is an error with a way out (lock=off).
///
/// A second call on the same file changes the role. After a failure the file holds no lock. Opening a file twice and
/// locking both is a conflict, also within one process.
Result<void> lock_image(const HostFile& file, LockAs as);

}  // namespace flatimg
