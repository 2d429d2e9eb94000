// The L1 table of an open image, in memory as a whole, big-endian in the file. Remembers which words have changed.
//
// Unlike the tables of cache/resident_table.h it may begin anywhere and be followed by anything: changed words are
// written by themselves, and nothing around them.
//
// Invariants:
//   1. load() needs no lock and sees whole words. store() calls are ordered by a lock of the caller.
//   2. A word that changes after collect() is written by the next one.
#pragma once

#include <atomic>
#include <set>
#include <vector>

#include "base/ranked_mutex.h"
#include "cache/write_order.h"

namespace flatimg::qcow1 {

class LiveL1 {
 public:
  /// What is in the file already. Once, before anybody else uses the table.
  void fill(HostOffset at, const std::vector<std::uint64_t>& words);
  /// The same words have been written somewhere else: that is the table from now on. No change may be waiting; others
  /// may go on to load() meanwhile.
  void is_now_at(HostOffset at) { at_ = at; }

  [[nodiscard]] HostOffset at() const { return at_; }
  [[nodiscard]] std::size_t size() const { return words_.size(); }
  [[nodiscard]] std::uint64_t load(std::size_t word) const { return words_[word].load(std::memory_order_acquire); }
  void store(std::size_t word, std::uint64_t value) EXCLUDES(mutex_);
  /// All words, as they are now.
  [[nodiscard]] std::vector<std::uint64_t> words() const { return {words_.begin(), words_.end()}; }

  /// Copies the changed words into `order`; true when there were any.
  bool collect(WriteOrder& order, Step step) EXCLUDES(mutex_);
  void written() { writing_.clear(); }
  void failed() EXCLUDES(mutex_);

 private:
  HostOffset at_;
  std::vector<std::atomic<std::uint64_t>> words_;
  Mutex mutex_{Rank::Queue};
  std::set<std::size_t> changed_ GUARDED_BY(mutex_);
  std::set<std::size_t> writing_;  // only the one who flushes touches it
};

}  // namespace flatimg::qcow1
