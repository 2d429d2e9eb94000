#include "cache/resident_table.h"

#include <algorithm>
#include <array>

#include "base/endian.h"

namespace flatimg {

namespace {

constexpr std::size_t kSector = 512;
constexpr std::size_t kWordsInSector = kSector / sizeof(std::uint64_t);

}  // namespace

Result<void> ResidentTable::read(HostFile& file, HostOffset at, std::size_t words) {
  at_ = at;
  words_ = std::vector<std::atomic<std::uint64_t>>(words);
  std::vector<std::byte> piece(std::min<std::size_t>(words * sizeof(std::uint64_t), std::size_t{1} << 20));
  for (std::size_t word = 0; word < words;) {
    const std::size_t count = std::min(piece.size() / sizeof(std::uint64_t), words - word);
    const auto bytes = std::span(piece).first(count * sizeof(std::uint64_t));
    CHECK(file.read(at + ByteCount(word * sizeof(std::uint64_t)), bytes));
    for (std::size_t n = 0; n < count; ++n) {
      words_[word + n].store(load_be<std::uint64_t>(bytes, n * sizeof(std::uint64_t)), std::memory_order_relaxed);
    }
    word += count;
  }
  return {};
}

void ResidentTable::move_to(HostOffset at, std::size_t words) {
  std::vector<std::atomic<std::uint64_t>> larger(words);
  for (std::size_t n = 0; n < std::min(words, words_.size()); ++n) larger[n].store(load(n), std::memory_order_relaxed);
  std::set<std::size_t> all;
  for (std::size_t sector = 0; sector * kWordsInSector < words; ++sector) all.insert(sector);
  words_.swap(larger);
  at_ = at;
  const MutexLock lock(mutex_);
  dirty_sectors_.swap(all);
}

void ResidentTable::replace(HostOffset at, const std::vector<std::uint64_t>& words) {
  std::vector<std::atomic<std::uint64_t>> fresh(words.size());
  for (std::size_t n = 0; n < words.size(); ++n) fresh[n].store(words[n], std::memory_order_relaxed);
  words_.swap(fresh);
  at_ = at;
}

void ResidentTable::store(std::size_t word, std::uint64_t value) {
  const MutexLock lock(mutex_);
  // First: a word that was stored must not be forgotten for want of memory.
  dirty_sectors_.insert(word / kWordsInSector);
  words_[word].store(value, std::memory_order_release);
}

bool ResidentTable::collect(WriteOrder& order, Step step) {
  {
    const MutexLock lock(mutex_);
    writing_.swap(dirty_sectors_);
  }
  for (const std::size_t sector : writing_) {
    std::array<std::byte, kSector> bytes{};
    const std::size_t first = sector * kWordsInSector;
    const std::size_t count = std::min(kWordsInSector, words_.size() - first);
    for (std::size_t n = 0; n < count; ++n) store_be(std::span(bytes), n * sizeof(std::uint64_t), load(first + n));
    // A table is followed by padding up to its cluster's end, so whole sectors belong to it.
    order.add(step, at_ + ByteCount(sector * kSector), bytes);
  }
  return !writing_.empty();
}

void ResidentTable::written() { writing_.clear(); }

void ResidentTable::failed() {
  const MutexLock lock(mutex_);
  dirty_sectors_.merge(writing_);
  writing_.clear();
}

}  // namespace flatimg
