#include "cache/table_cache.h"

#include <algorithm>
#include <new>
#include <thread>

#include "base/aligned_buffer.h"
#include "base/out_of_memory.h"

namespace flatimg {

struct TableCache::Page {
  Page(HostOffset place, ByteCount size) : at(place), memory(size.value()), words(memory.at_least(size.value())) {}

  const HostOffset at;
  AlignedBuffer memory;
  const std::span<std::byte> words;
  std::atomic<unsigned> pins{0};  // grows only under the shard's mutex
  bool ready = false;             // shard's mutex
  bool used_since_hand = false;   // shard's mutex

  Mutex mutex{Rank::Table};
  State state = State::Clean;         // mutex
  Step step = Step::Mention;          // of the changes that wait; mutex
  bool data_first = false;            // of the changes that wait; mutex
  Step writing_step = Step::Mention;  // of the changes in the batch; the flusher
  bool writing_data_first = false;

  [[nodiscard]] std::uint64_t& word(std::size_t index) const {
    assert((index + 1) * sizeof(std::uint64_t) <= words.size());
    return *reinterpret_cast<std::uint64_t*>(words.data() + index * sizeof(std::uint64_t));
  }
};

namespace {

std::uint64_t load_word(std::uint64_t& word) {
  return byte_swapped(std::atomic_ref(word).load(std::memory_order_acquire));
}

}  // namespace

// --- edits and pins -------------------------------------------------------------------------------------------------

void TableCache::Edit::store(std::size_t word, std::uint64_t value) {
  std::atomic_ref(page_->word(word)).store(byte_swapped(value), std::memory_order_release);
}

std::uint64_t TableCache::Edit::load(std::size_t word) const { return load_word(page_->word(word)); }

std::span<std::byte> TableCache::Edit::bytes() { return page_->words; }

void TableCache::Edit::needs_data_first() { page_->data_first = true; }

TableCache::Edit::~Edit() {
  if (page_ != nullptr) page_->mutex.unlock();
}

std::uint64_t TableCache::Pin::load(std::size_t word) const { return load_word(page_->word(word)); }

std::span<const std::byte> TableCache::Pin::bytes() const { return page_->words; }

TableCache::Edit TableCache::Pin::edit(Step step) NO_THREAD_SAFETY_ANALYSIS {
  page_->mutex.lock();
  Edit edit(*cache_, *page_);  // gives the mutex back when there is no memory for the list
  const bool waits_already = page_->state == State::Dirty || page_->state == State::Rewritten;
  if (!waits_already) cache_->mark_dirty(*page_);
  page_->step = waits_already ? std::min(page_->step, step) : step;
  return edit;
}

TableCache::Pin::~Pin() {
  if (page_ != nullptr) unpin(*page_);
}

void TableCache::unpin(Page& page) { page.pins.fetch_sub(1, std::memory_order_release); }

void TableCache::mark_dirty(Page& page) {
  if (page.state == State::Writing) {
    page.state = State::Rewritten;  // written() puts it back on the list
    return;
  }
  const MutexLock lock(dirty_mutex_);
  // Room for the pages of a batch under way as well, which come back: so nothing but this needs memory.
  const std::size_t all = dirty_count_.load(std::memory_order_relaxed) + 1;
  if (dirty_.capacity() < all) dirty_.reserve(2 * all);
  dirty_.push_back(&page);
  page.state = State::Dirty;
  page.pins.fetch_add(1, std::memory_order_relaxed);  // the editor holds a pin, so this is not the first
  dirty_count_.fetch_add(1, std::memory_order_relaxed);
}

// --- finding pages --------------------------------------------------------------------------------------------------

TableCache::TableCache(HostFile& file, ByteCount page_size, ByteCount budget) : file_(file), page_size_(page_size) {
  constexpr std::size_t kLeastPages = 4;  // in a shard: an operation pins a few at once
  const std::size_t pages = budget / page_size;
  pages_per_shard_ = std::max(kLeastPages, pages / kShards);
  dirty_limit_ = std::max<std::size_t>(kShards * kLeastPages / 2, pages / 2);
  // So that a page can be marked while there is no memory left.
  dirty_.reserve(kShards * pages_per_shard_);
  writing_.reserve(kShards * pages_per_shard_);
}

TableCache::~TableCache() = default;

TableCache::Shard& TableCache::shard_of(HostOffset at) {
  const std::uint64_t number = at / page_size_;
  return shards_[(number ^ (number >> 4)) % kShards];
}

Result<TableCache::Pin> TableCache::pin(HostOffset at) {
  assert((at % page_size_).is_zero());
  Shard& shard = shard_of(at);
  Page* page = nullptr;
  {
    const MutexLock lock(shard.mutex);
    for (;;) {
      const auto found = shard.pages.find(at.value());
      if (found == shard.pages.end()) break;
      if (found->second->ready) {
        ++shard.hits;
        found->second->used_since_hand = true;
        found->second->pins.fetch_add(1, std::memory_order_acquire);
        return Pin(*this, *found->second);
      }
      shard.loaded.wait(shard.mutex);
    }
    ++shard.misses;
    make_room(shard);
    auto fresh = std::make_unique<Page>(at, page_size_);
    page = fresh.get();
    page->pins = 1;
    shard.clock.push_back(page);
    try {
      shard.pages.emplace(at.value(), std::move(fresh));
    } catch (const std::bad_alloc&) {
      shard.clock.pop_back();
      throw;
    }
  }
  // Nobody else touches the page before it is ready; those who wait for it must be told.
  auto read = [&]() -> Result<void> {
    try {
      return file_.read(at, page->words);
    } catch (const std::bad_alloc&) {
      return out_of_memory();
    }
  }();
  const MutexLock lock(shard.mutex);
  shard.loaded.notify_all();
  if (!read) {
    remove(shard, *page);
    return Failure(std::move(read.error()));
  }
  page->ready = true;
  return Pin(*this, *page);
}

TableCache::Pin TableCache::peek(HostOffset at) {
  assert((at % page_size_).is_zero());
  Shard& shard = shard_of(at);
  const MutexLock lock(shard.mutex);
  const auto found = shard.pages.find(at.value());
  if (found == shard.pages.end() || !found->second->ready) return {};
  found->second->pins.fetch_add(1, std::memory_order_acquire);
  return Pin(*this, *found->second);
}

void TableCache::make_room(Shard& shard) {
  // Two rounds of the hand see every page once without its mark; when all are held the budget is exceeded for a while.
  for (std::size_t tries = 2 * shard.clock.size(); shard.clock.size() >= pages_per_shard_ && tries > 0; --tries) {
    if (shard.hand >= shard.clock.size()) shard.hand = 0;
    Page& page = *shard.clock[shard.hand];
    if (page.pins.load(std::memory_order_acquire) == 0 && !std::exchange(page.used_since_hand, false)) {
      remove(shard, page);
    } else {
      ++shard.hand;
    }
  }
}

void TableCache::remove(Shard& shard, Page& page) {
  const auto place = std::find(shard.clock.begin(), shard.clock.end(), &page);
  *place = shard.clock.back();
  shard.clock.pop_back();
  shard.pages.erase(page.at.value());
}

void TableCache::forget(HostRange range) {
  for (HostOffset at = range.begin; at < range.end(); at += page_size_) {
    Shard& shard = shard_of(at);
    for (;;) {
      const MutexLock lock(shard.mutex);
      const auto found = shard.pages.find(at.value());
      if (found == shard.pages.end()) break;
      if (found->second->pins.load(std::memory_order_acquire) == 0) {
        remove(shard, *found->second);
        break;
      }
      std::this_thread::yield();
    }
  }
}

// --- writing back ---------------------------------------------------------------------------------------------------

void TableCache::collect(WriteOrder& order) {
  {
    const MutexLock lock(dirty_mutex_);
    writing_.reserve(dirty_.capacity());  // becomes the list of those that wait
    writing_.swap(dirty_);
  }
  for (Page* page : writing_) {
    const MutexLock lock(page->mutex);
    order.add(page->step, page->at, page->words);  // what may lack memory comes first
    page->writing_step = page->step;
    page->writing_data_first = std::exchange(page->data_first, false);
    page->state = State::Writing;
    if (page->writing_data_first) order.fence();
  }
}

void TableCache::written() {
  std::size_t again = 0;  // at the beginning of the list
  for (Page* page : writing_) {
    {
      const MutexLock lock(page->mutex);
      if (page->state == State::Rewritten) {
        page->state = State::Dirty;
        writing_[again++] = page;
        continue;
      }
      page->state = State::Clean;
    }
    dirty_count_.fetch_sub(1, std::memory_order_relaxed);
    unpin(*page);  // the last thing that is done to it: it may be gone at once
  }
  writing_.resize(again);
  const MutexLock lock(dirty_mutex_);
  dirty_.insert(dirty_.end(), writing_.begin(), writing_.end());
  writing_.clear();
}

void TableCache::failed() {
  for (Page* page : writing_) {
    const MutexLock lock(page->mutex);
    if (page->state == State::Dirty) continue;  // memory ended before it was collected
    page->step = page->state == State::Rewritten ? std::min(page->step, page->writing_step) : page->writing_step;
    page->data_first |= page->writing_data_first;
    page->state = State::Dirty;
  }
  const MutexLock lock(dirty_mutex_);
  dirty_.insert(dirty_.end(), writing_.begin(), writing_.end());
  writing_.clear();
}

TableCache::Counts TableCache::counts() const {
  Counts counts;
  counts.dirty = dirty_pages();
  for (const Shard& shard : shards_) {
    const MutexLock lock(shard.mutex);
    counts.hits += shard.hits;
    counts.misses += shard.misses;
    counts.pages += shard.pages.size();
  }
  return counts;
}

}  // namespace flatimg
