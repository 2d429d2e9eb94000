#include "cache/flusher.h"

#include <new>

#include "base/log.h"
#include "base/out_of_memory.h"

namespace flatimg {

namespace {

// Whoever waits for a flush must be answered, and the background thread goes on: no exception leaves the work.
Result<void> outcome_of(const Flusher::Work& work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  }
}

}  // namespace

Flusher::Flusher(Work work, std::chrono::milliseconds interval) : work_(std::move(work)), interval_(interval) {}

void Flusher::start() {
  thread_ = std::thread([this] { background(); });
}

void Flusher::begin_age() {
  const MutexLock lock(mutex_);
  oldest_ = std::chrono::steady_clock::now();
  changed_.notify_all();
}

void Flusher::hurry() {
  const MutexLock lock(mutex_);
  if (hurry_) return;
  hurry_ = true;
  changed_.notify_all();
}

// Runs the flush with this number; the mutex is not held.
Result<void> Flusher::run_one(std::uint64_t number) {
  waiting_ = false;  // what changes from here on may miss this flush and ages anew
  const auto begin = std::chrono::steady_clock::now();
  Result<void> outcome = outcome_of(work_);
  const MutexLock lock(mutex_);
  note_end(begin);
  running_ = false;
  finished_ = number;
  last_ = outcome;
  ++counts_.flushes;
  if (!outcome) ++counts_.failures;
  changed_.notify_all();
  return outcome;
}

void Flusher::note_end(std::chrono::steady_clock::time_point begin) {
  using std::chrono::duration_cast;
  const auto took = std::chrono::steady_clock::now() - begin;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  counts_.last_microseconds = static_cast<std::uint64_t>(duration_cast<std::chrono::microseconds>(took).count());
  counts_.last_end = static_cast<std::uint64_t>(duration_cast<std::chrono::seconds>(now).count());
}

// Waits for a flush that begins after this call, or runs it.
Result<void> Flusher::join() {
  std::uint64_t mine = 0;
  {
    const MutexLock lock(mutex_);
    const std::uint64_t needed = started_ + 1;
    while (running_ && finished_ < needed) changed_.wait(mutex_);
    if (finished_ >= needed) return last_;
    running_ = true;
    oldest_.reset();
    mine = ++started_;
  }
  return run_one(mine);
}

Result<void> Flusher::flush() {
  Result<void> outcome = join();
  const MutexLock lock(mutex_);
  if (outcome && unreported_) outcome = Failure(std::move(*unreported_));
  unreported_.reset();
  return outcome;
}

Result<void> Flusher::make_room() {
  Result<void> outcome = join();
  if (!outcome) {
    const MutexLock lock(mutex_);
    unreported_ = outcome.error();
  }
  return outcome;
}

void Flusher::background() {
  for (;;) {
    std::uint64_t mine = 0;
    {
      const MutexLock lock(mutex_);
      for (;;) {
        if (stopping_) return;
        const bool aged = oldest_ && interval_.count() > 0 && std::chrono::steady_clock::now() >= *oldest_ + interval_;
        if (!running_ && (hurry_ || aged)) break;
        if (oldest_ && interval_.count() > 0 && !running_) {
          changed_.wait_until(mutex_, *oldest_ + interval_);
        } else {
          changed_.wait(mutex_);
        }
      }
      hurry_ = false;
      running_ = true;
      oldest_.reset();
      mine = ++started_;
      ++counts_.background;
    }
    if (auto outcome = run_one(mine); !outcome) {
      log(LogLevel::Error, "writing metadata: {}", outcome.error().text);
      const MutexLock lock(mutex_);
      unreported_ = std::move(outcome.error());
      if (!oldest_) oldest_ = std::chrono::steady_clock::now();  // try again after the interval
    }
  }
}

void Flusher::stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

Flusher::Counts Flusher::counts() {
  const MutexLock lock(mutex_);
  return counts_;
}

}  // namespace flatimg
