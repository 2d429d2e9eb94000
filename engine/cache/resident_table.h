// A table of 64-bit big-endian words that is in memory as a whole (L1, refcount table). Remembers which 512-byte
// sectors have changed.
//
// Invariants:
//   1. load() needs no lock and sees whole words. store() calls are ordered by a lock of the caller.
//   2. A sector that changes after collect() is written by the next one.
#pragma once

#include <atomic>
#include <set>
#include <vector>

#include "base/ranked_mutex.h"
#include "cache/write_order.h"

namespace flatimg {

class ResidentTable {
 public:
  ResidentTable() = default;

  /// Reads `words` words from the file.
  Result<void> read(HostFile& file, HostOffset at, std::size_t words);
  /// Moves to another place with other room; everything counts as changed. New words are 0.
  void move_to(HostOffset at, std::size_t words);
  /// Is another table from now on, which is on disk already: nothing counts as changed. Nobody else may use the table
  /// meanwhile, and no change of the old one may be waiting.
  void replace(HostOffset at, const std::vector<std::uint64_t>& words);

  [[nodiscard]] HostOffset at() const { return at_; }
  [[nodiscard]] std::size_t size() const { return words_.size(); }
  [[nodiscard]] std::uint64_t load(std::size_t word) const { return words_[word].load(std::memory_order_acquire); }
  void store(std::size_t word, std::uint64_t value);
  /// All words, as they are now.
  [[nodiscard]] std::vector<std::uint64_t> words() const { return {words_.begin(), words_.end()}; }

  /// Copies the changed sectors into `order`; true when there were any.
  bool collect(WriteOrder& order, Step step);
  void written();
  void failed();

 private:
  HostOffset at_;
  std::vector<std::atomic<std::uint64_t>> words_;
  Mutex mutex_{Rank::Queue};
  std::set<std::size_t> dirty_sectors_ GUARDED_BY(mutex_);
  std::set<std::size_t> writing_;  // only the one who flushes touches it
};

}  // namespace flatimg
