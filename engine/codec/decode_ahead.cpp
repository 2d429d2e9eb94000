#include "codec/decode_ahead.h"

#include <algorithm>
#include <system_error>

#include "base/side_by_side.h"

namespace flatimg {

namespace {

constexpr std::uint64_t kNone = ~std::uint64_t{0} - 1;  // neither a block nor the one before block 0
constexpr std::size_t kMostThreads = 4;

}  // namespace

DecodeAhead::DecodeAhead(std::uint64_t count, std::uint64_t most, Decode decode)
    : count_(count), most_(most), decode_(std::move(decode)), followed_(kNone) {
  for (auto& block : lately_) block.store(kNone, std::memory_order_relaxed);
}

DecodeAhead::~DecodeAhead() {
  std::vector<std::thread> threads;
  {
    const MutexLock lock(mutex_);
    ending_ = true;
    threads.swap(threads_);
    changed_.notify_all();
  }
  for (std::thread& thread : threads) thread.join();
}

// Races between readers cost a block decoded ahead too many or too few, nothing else.
DecodeAhead::Step DecodeAhead::step_to(std::uint64_t block) {
  bool follows = false;
  for (const auto& recent : lately_) {
    const std::uint64_t other = recent.load(std::memory_order_relaxed);
    if (other == block) return Step::Again;
    follows = follows || other == block - 1;
  }
  const std::size_t slot = oldest_.fetch_add(1, std::memory_order_relaxed) % kStreams;
  lately_[slot].store(block, std::memory_order_relaxed);
  return follows ? Step::Next : Step::First;
}

void DecodeAhead::wanted(std::uint64_t block) {
  if (most_ == 0) return;
  const Step step = step_to(block);
  if (step == Step::Next) {
    followed_.store(block, std::memory_order_relaxed);
    aim(block, block + 2);
  } else if (step == Step::Again && followed_.load(std::memory_order_relaxed) == block) {
    followed_.store(kNone, std::memory_order_relaxed);
    aim(block, block + 1);
  }
}

void DecodeAhead::aim(std::uint64_t reader, std::uint64_t first) {
  const MutexLock lock(mutex_);
  end_ = std::min(reader + 1 + most_, count_);
  const bool left_out = first == reader + 1;
  if (left_out || next_ < first || next_ > end_) next_ = first;
  if (next_ >= end_) return;
  begin_threads();
  changed_.notify_all();
}

void DecodeAhead::begin_threads() {
  if (!threads_.empty() || ending_) return;
  try {
    const std::size_t wanted = std::clamp<std::size_t>(processors() / 2, 1, kMostThreads);
    while (threads_.size() < std::min<std::size_t>(wanted, most_)) threads_.emplace_back([this] { work(); });
  } catch (const std::system_error&) {
    // The host has no further thread: those that there are do the work, or the readers themselves.
  }
}

void DecodeAhead::work() {
  for (;;) {
    std::uint64_t block = 0;
    {
      const MutexLock lock(mutex_);
      while (!ending_ && next_ >= end_) changed_.wait(mutex_);
      if (ending_) return;
      block = next_++;
    }
    decode_(block);
  }
}

}  // namespace flatimg
