#include "transfer/in_order.h"

namespace flatimg::transfer {

Result<void> InOrder::put(GuestRange range, Take take) {
  const MutexLock lock(mutex_);
  while (!abandoned_ && range.begin != next_ && waiting_.size() >= most_waiting_) changed_.wait(mutex_);
  if (abandoned_) return outcome_;
  waiting_.emplace(range.begin, Waiting{range, std::move(take)});
  if (!taking_) take_what_follows();
  return outcome_;
}

// The mutex is free while a result is taken: others go on putting theirs.
void InOrder::take_what_follows() {
  taking_ = true;
  while (!abandoned_ && !waiting_.empty() && waiting_.begin()->first == next_) {
    const auto node = waiting_.extract(waiting_.begin());
    mutex_.unlock();
    auto taken = node.mapped().take();
    mutex_.lock();
    next_ = node.mapped().range.end();
    if (!taken) {
      outcome_ = std::move(taken);
      abandoned_ = true;
    }
    changed_.notify_all();
  }
  taking_ = false;
}

void InOrder::abandon() {
  const MutexLock lock(mutex_);
  abandoned_ = true;
  changed_.notify_all();
}

}  // namespace flatimg::transfer
