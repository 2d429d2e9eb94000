// Host space under tables. A flush must not run out of it: what it writes was acknowledged long ago.
//
// An image is a sparse file as a rule, and a page of a table may be a hole of it. So the space of a table is reserved
// before the table is changed for the first time: whoever wants to write is told that the host is full, and the flush
// behind it finds room. (File systems that write elsewhere each time, such as btrfs, can promise less.)
#pragma once

#include <unordered_set>

#include "base/ranked_mutex.h"
#include "host/host_file.h"

namespace flatimg::qcow2 {

class TableSpace {
 public:
  explicit TableSpace(HostFile& file) : file_(file) {}

  /// The range, widened to whole pages of 4 KiB, has host space on return; as far as the file reaches.
  /// NoSpace when the host has none. Cheap from the second call on. Any thread, any lock below Queue.
  Result<void> reserve(HostRange range);
  /// The same for a table that is new, whatever was there before.
  Result<void> reserve_new(HostRange range);

 private:
  HostFile& file_;
  Mutex mutex_{Rank::Queue};
  std::unordered_set<std::uint64_t> reserved_ GUARDED_BY(mutex_);  // the first byte of each range
};

}  // namespace flatimg::qcow2
