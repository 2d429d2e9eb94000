// Keeps a snapshot from being deleted while it is open as a file.
#pragma once

#include "base/ranked_mutex.h"
#include "base/result.h"

namespace flatimg::flat {

class SnapshotReaders {
 public:
  /// Busy while a snapshot is being deleted.
  Result<void> add() EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    if (deleting_) return fail(ErrorKind::Busy, "a snapshot of the image is being deleted");
    ++readers_;
    return {};
  }
  void remove() EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    --readers_;
  }

  /// Deletes by `change`, one at a time. Busy while any snapshot of the image is open.
  template <class Change>
  Result<void> when_unread(Change change) EXCLUDES(mutex_) {
    CHECK(begin());
    Result<void> changed = change();
    const MutexLock lock(mutex_);
    deleting_ = false;
    return changed;
  }

 private:
  Result<void> begin() EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    if (deleting_ || readers_ > 0) {
      return fail(ErrorKind::Busy, "a snapshot of the image is open in .flatimg: close it first");
    }
    deleting_ = true;
    return {};
  }

  Mutex mutex_{Rank::Queue};
  unsigned readers_ GUARDED_BY(mutex_) = 0;
  bool deleting_ GUARDED_BY(mutex_) = false;
};

}  // namespace flatimg::flat
