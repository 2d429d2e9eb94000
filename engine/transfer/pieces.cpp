#include "transfer/pieces.h"

#include <algorithm>
#include <thread>
#include <vector>

#include "base/ranked_mutex.h"

namespace flatimg::transfer {

namespace {

constexpr unsigned kMostThreads = 16;

/// What the threads share.
class Shared {
 public:
  Shared(const Walk& walk, ByteCount size, const Progress& progress) : walk_(walk), size_(size), progress_(progress) {}

  void run() {
    while (const auto range = take()) {
      if (auto done = walk_.work(*range); !done) fail_with(std::move(done));
    }
  }
  Result<void> outcome() {
    const MutexLock lock(mutex_);
    if (outcome_) tell(progress_, size_.value(), size_.value());
    return outcome_;
  }

 private:
  std::optional<GuestRange> take() {
    const MutexLock lock(mutex_);
    if (!outcome_ || ended_) return std::nullopt;
    auto found = walk_.next(from_);
    if (!found) outcome_ = Failure(std::move(found.error()));
    ended_ = !found || !*found;
    if (ended_) return std::nullopt;
    from_ = (*found)->end();
    tell(progress_, (*found)->begin.value(), size_.value());
    return *found;
  }
  void fail_with(Result<void> error) {
    const MutexLock lock(mutex_);
    if (outcome_) outcome_ = std::move(error);
  }

  const Walk& walk_;
  const ByteCount size_;
  const Progress& progress_;
  Mutex mutex_{Rank::Session};
  GuestOffset from_ GUARDED_BY(mutex_){0};
  bool ended_ GUARDED_BY(mutex_) = false;
  Result<void> outcome_ GUARDED_BY(mutex_);
};

}  // namespace

Result<void> walk(const Walk& walk, ByteCount size, const Progress& progress) {
  Shared shared(walk, size, progress);
  std::vector<std::thread> threads;
  const unsigned processors = std::thread::hardware_concurrency();
  const unsigned wanted = std::clamp(walk.threads == 0 ? processors : walk.threads, 1u, kMostThreads);
  for (unsigned n = 1; n < wanted; ++n) threads.emplace_back([&shared] { shared.run(); });
  shared.run();
  for (std::thread& thread : threads) thread.join();
  return shared.outcome();
}

GuestRange piece_from(GuestOffset at, ByteCount size, ByteCount piece) {
  const GuestOffset end = std::min(align_down(at, piece) + piece, GuestOffset(0) + size);
  return GuestRange::between(at, end);
}

}  // namespace flatimg::transfer
