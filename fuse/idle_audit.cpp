#include "fuse/idle_audit.h"

#include <algorithm>

namespace flatimg::flat {

namespace {

constexpr std::chrono::seconds kQuiet{1};
constexpr std::chrono::milliseconds kLeastPause{10};
constexpr int kPauseForEachStep = 30;  // times what it took

}  // namespace

void IdleAudit::start(const RequestCounters& counters, Step step) {
  step_ = std::move(step);
  thread_ = std::thread([this, &counters] { run(counters); });
}

void IdleAudit::stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

bool IdleAudit::pause(Clock::duration time) {
  const auto end = Clock::now() + time;
  const MutexLock lock(mutex_);
  while (!stopping_ && Clock::now() < end) changed_.wait_until(mutex_, end);
  return !stopping_;
}

void IdleAudit::run(const RequestCounters& counters) {
  std::uint64_t seen = counters.begun();
  while (pause(kQuiet)) {
    const std::uint64_t now = counters.begun();
    const bool quiet = now == seen && counters.answered() == now;
    seen = now;
    for (bool more = quiet; more && counters.begun() == seen;) {
      const auto begin = Clock::now();
      more = step_();
      if (!pause(std::max<Clock::duration>(kLeastPause, (Clock::now() - begin) * kPauseForEachStep))) return;
    }
  }
}

}  // namespace flatimg::flat
