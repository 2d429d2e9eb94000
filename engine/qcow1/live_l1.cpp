#include "qcow1/live_l1.h"

#include <array>

#include "base/endian.h"

namespace flatimg::qcow1 {

void LiveL1::fill(HostOffset at, const std::vector<std::uint64_t>& words) {
  at_ = at;
  words_ = std::vector<std::atomic<std::uint64_t>>(words.size());
  for (std::size_t n = 0; n < words.size(); ++n) words_[n].store(words[n], std::memory_order_relaxed);
}

void LiveL1::store(std::size_t word, std::uint64_t value) {
  const MutexLock lock(mutex_);
  changed_.insert(word);  // first: a word that was stored must not be forgotten for want of memory
  words_[word].store(value, std::memory_order_release);
}

bool LiveL1::collect(WriteOrder& order, Step step) {
  {
    const MutexLock lock(mutex_);
    writing_.swap(changed_);
  }
  for (const std::size_t word : writing_) {
    std::array<std::byte, 8> bytes{};
    store_be(std::span(bytes), 0, load(word));
    order.add(step, at_ + ByteCount(8 * word), bytes);
  }
  return !writing_.empty();
}

void LiveL1::failed() {
  const MutexLock lock(mutex_);
  changed_.merge(writing_);
  writing_.clear();
}

}  // namespace flatimg::qcow1
