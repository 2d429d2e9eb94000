// Who writes which part of a disk: so that the whole disk and its partitions, which are separate files to the kernel,
// are never written at the same time.
//
// Two claims are at odds when their ranges overlap, unless they are for the same file: the flat file may be opened for
// writing as often as anybody likes, and so may each partition. Claims belong to open handles, not to requests.
//
// The kernel tells of a last close() some moments after it has returned, so whoever comes next waits that long before
// he is refused.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "base/range.h"
#include "base/ranked_mutex.h"
#include "base/result.h"

namespace flatimg::flat {

struct WriteClaim {
  unsigned partition = 0;  // 0: the whole disk
  GuestRange where;        // not looked at for the whole disk

  friend bool operator==(const WriteClaim&, const WriteClaim&) = default;
};

class WriteClaims {
 public:
  /// Busy when somebody writes an overlapping part, and goes on to do so.
  Result<void> add(const WriteClaim& wanted) EXCLUDES(mutex_);
  void remove(const WriteClaim& claim) EXCLUDES(mutex_);
  /// Whether the flat file of the whole disk is open for writing.
  [[nodiscard]] bool whole_is_written() const EXCLUDES(mutex_);

 private:
  [[nodiscard]] const WriteClaim* in_the_way_of(const WriteClaim& wanted) const REQUIRES(mutex_);

  mutable Mutex mutex_{Rank::Queue};
  Condition removed_;
  std::vector<WriteClaim> claims_ GUARDED_BY(mutex_);
};

}  // namespace flatimg::flat
