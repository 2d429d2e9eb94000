// The thread that truncates the flat file to the size that it has.
#include "fuse/size_keeper.h"

#include "base/log.h"
#include "base/result.h"

namespace flatimg::flat {

SizeKeeper::~SizeKeeper() {
  if (!thread_.joinable()) return;
  {
    const MutexLock lock(mutex_);
    ending_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void SizeKeeper::start(Correction correct_to) {
  thread_ = std::thread([this, correct_to = std::move(correct_to)] { run(correct_to); });
}

void SizeKeeper::correct() {
  const MutexLock lock(mutex_);
  wrong_ = true;
  changed_.notify_all();
}

void SizeKeeper::run(const Correction& correct_to) {
  for (;;) {
    {
      const MutexLock lock(mutex_);
      while (!wrong_ && !ending_) changed_.wait(mutex_);
      if (ending_) return;
      wrong_ = false;
    }
    if (const auto done = correct_to(disk_.size()); !done) log(LogLevel::Warning, "{}", done.error().text);
  }
}

}  // namespace flatimg::flat
