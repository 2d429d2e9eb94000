// Decodes the blocks that a sequential reader will want next, on threads of its own.
//
// Whoever reads block after block is followed; the block right behind the one that was just asked for is left to the
// reader itself at first, so that both decode at the same time instead of one waiting for the other. When the reader
// stays in its block (small reads), that one is decoded ahead as well.
//
// Invariants:
//   1. At most `most` blocks behind the reader's are decoded ahead; a reader that jumps is not followed.
//   2. There is no thread before somebody has read two blocks in a row.
//   3. Errors are forgotten: the reader meets them itself.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "base/ranked_mutex.h"

namespace flatimg {

class DecodeAhead {
 public:
  /// Decodes one block into where readers find it; any thread. Throws nothing.
  using Decode = std::function<void(std::uint64_t block)>;

  /// Of blocks 0 to count-1. With `most` 0 nothing is ever decoded ahead.
  DecodeAhead(std::uint64_t count, std::uint64_t most, Decode decode);
  /// Waits for what is being decoded.
  ~DecodeAhead();
  DecodeAhead(const DecodeAhead&) = delete;
  DecodeAhead& operator=(const DecodeAhead&) = delete;

  /// A reader asks for this block now. Any thread; cheap when nothing is to be done.
  void wanted(std::uint64_t block);

 private:
  /// How a block stands to what was asked for lately.
  enum class Step { First, Next, Again };
  Step step_to(std::uint64_t block);
  /// The reader is at that block: those from `first` on are to be decoded ahead.
  void aim(std::uint64_t reader, std::uint64_t first);
  void begin_threads() REQUIRES(mutex_);
  void work();

  static constexpr std::size_t kStreams = 8;  // readers that may alternate

  const std::uint64_t count_;
  const std::uint64_t most_;
  const Decode decode_;
  std::array<std::atomic<std::uint64_t>, kStreams> lately_;
  std::atomic<std::size_t> oldest_ = 0;
  std::atomic<std::uint64_t> followed_;  // the block that a reader has come to from the one before, and not read again

  Mutex mutex_{Rank::Queue};
  Condition changed_;
  std::uint64_t next_ GUARDED_BY(mutex_) = 0;  // of those to be decoded ahead
  std::uint64_t end_ GUARDED_BY(mutex_) = 0;
  bool ending_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_ GUARDED_BY(mutex_);
};

}  // namespace flatimg
