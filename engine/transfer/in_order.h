// What several threads make, taken in the order of the disk.
//
// Invariants:
//   1. What is taken lies behind what was taken before, without a gap; one call at a time.
//   2. At most `most_waiting` results wait for what comes before them, and the one that is next never waits.
#pragma once

#include <functional>
#include <map>

#include "base/range.h"
#include "base/ranked_mutex.h"
#include "base/result.h"

namespace flatimg::transfer {

class InOrder {
 public:
  /// Takes one result. Runs on whichever thread has put it, or put the one before it.
  using Take = std::function<Result<void>()>;

  explicit InOrder(std::size_t most_waiting) : most_waiting_(most_waiting) {}

  /// Blocks while too many wait. Returns the first error of a Take; behind that, or behind abandon(), nothing is taken
  /// any more.
  Result<void> put(GuestRange range, Take take) EXCLUDES(mutex_);
  /// A result is missing for good: whoever waits for it stops waiting.
  void abandon() EXCLUDES(mutex_);

 private:
  struct Waiting {
    GuestRange range;
    Take take;
  };
  void take_what_follows() REQUIRES(mutex_);

  const std::size_t most_waiting_;
  Mutex mutex_{Rank::Session};
  Condition changed_;
  std::map<GuestOffset, Waiting> waiting_ GUARDED_BY(mutex_);
  GuestOffset next_ GUARDED_BY(mutex_);
  bool taking_ GUARDED_BY(mutex_) = false;
  bool abandoned_ GUARDED_BY(mutex_) = false;
  Result<void> outcome_ GUARDED_BY(mutex_);
};

}  // namespace flatimg::transfer
