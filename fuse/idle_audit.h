// The thread of a mount that looks for contradictions in the images that are open for writing, while nobody asks for
// anything (view/disk_audit.h).
//
//   it works   | when the last request was answered a second ago, and none has come since
//   it pauses  | behind each step: 10 ms, or 30 times what the step took, so at most 100 steps and 4 % of a processor
//   it stops   | with the next request, until it is quiet again; for good with stop(), within one step
#pragma once

#include <chrono>
#include <functional>
#include <thread>

#include "base/ranked_mutex.h"
#include "fuse/request_counters.h"

namespace flatimg::flat {

class IdleAudit {
 public:
  IdleAudit() = default;
  ~IdleAudit() { stop(); }
  IdleAudit(const IdleAudit&) = delete;
  IdleAudit& operator=(const IdleAudit&) = delete;

  /// Makes one step; false when there is nothing to do now. Called by the thread, without a lock.
  using Step = std::function<bool()>;
  void start(const RequestCounters& counters, Step step);
  /// No step is made any more. Before the images are closed.
  void stop() EXCLUDES(mutex_);

 private:
  using Clock = std::chrono::steady_clock;
  void run(const RequestCounters& counters) EXCLUDES(mutex_);
  /// False when it is to stop.
  bool pause(Clock::duration time) EXCLUDES(mutex_);

  Step step_;
  Mutex mutex_{Rank::Queue};
  Condition changed_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace flatimg::flat
