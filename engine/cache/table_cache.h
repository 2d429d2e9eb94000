// Pages of tables in memory. A page is the unit of reading, of eviction and of writing back: a 4 KiB part of a table
// (or the whole table where clusters are smaller), so that one changed entry costs one small write.
//
// What a page may be, and who moves it on:
//
//   state      | bytes equal disk | edit()            | collect()        | written()   | failed()  | may be evicted
//   -----------+------------------+-------------------+------------------+-------------+-----------+---------------
//   Clean      | yes              | -> Dirty          | skipped          | -           | -         | when not pinned
//   Dirty      | no               | stays             | copy -> Writing  | -           | -         | no
//   Writing    | being written    | -> Rewritten      | -                | -> Clean    | -> Dirty  | no
//   Rewritten  | no               | stays             | -                | -> Dirty    | -> Dirty  | no
//
// Invariants:
//   1. Words are read without a lock (atomically, big-endian 64-bit); they change only under the page's mutex.
//   2. collect() copies a page under its mutex: an edit is in the copy as a whole or not at all.
//   3. A page that is not Clean holds a pin of its own and stays where it is.
//   4. Only one batch is being written at a time (the flusher sees to that).
//   5. Memory is bounded by the budget, exceeded only by pages that are pinned or not Clean; the owner keeps the latter
//      below dirty_limit() by flushing.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/endian.h"
#include "base/ranked_mutex.h"
#include "cache/write_order.h"

namespace flatimg {

class TableCache {
 private:
  struct Page;

 public:
  TableCache(HostFile& file, ByteCount page_size, ByteCount budget);
  ~TableCache();

  [[nodiscard]] ByteCount page_size() const { return page_size_; }

  /// Whether guest data that an edit mentions is known to read as zeroes (or to be there) whatever the crash.
  enum class Data { OnDiskFirst, NoMatter };

  /// Changes to one page that become visible and get written together. Holds the page's mutex.
  class Edit {
   public:
    Edit(Edit&& other) noexcept : cache_(other.cache_), page_(std::exchange(other.page_, nullptr)) {}
    ~Edit();
    /// Stores the 64-bit word with this index in the page.
    void store(std::size_t word, std::uint64_t value);
    [[nodiscard]] std::uint64_t load(std::size_t word) const;
    /// All bytes, for tables whose entries are not words (refcounts). Readers of such tables need a lock of their own.
    [[nodiscard]] std::span<std::byte> bytes();
    void needs_data_first();

   private:
    friend class TableCache;
    Edit(TableCache& cache, Page& page) : cache_(&cache), page_(&page) {}
    TableCache* cache_;
    Page* page_;
  };

  /// Keeps a page in memory. Cheap to move; any thread.
  class Pin {
   public:
    Pin() = default;
    Pin(Pin&& other) noexcept : cache_(other.cache_), page_(std::exchange(other.page_, nullptr)) {}
    Pin& operator=(Pin&& other) noexcept {
      std::swap(cache_, other.cache_);
      std::swap(page_, other.page_);
      return *this;
    }
    ~Pin();
    [[nodiscard]] bool valid() const { return page_ != nullptr; }
    [[nodiscard]] std::uint64_t load(std::size_t word) const;
    [[nodiscard]] std::span<const std::byte> bytes() const;
    /// Begins a change that belongs to `step`; a page with several changes goes with the earliest step.
    [[nodiscard]] Edit edit(Step step);

   private:
    friend class TableCache;
    Pin(TableCache& cache, Page& page) : cache_(&cache), page_(&page) {}
    TableCache* cache_ = nullptr;
    Page* page_ = nullptr;
  };

  /// The page that begins at `at` (a multiple of the page size), read from the file when it is not in memory.
  Result<Pin> pin(HostOffset at);

  /// The page if it is in memory, else a pin that is not valid. Leaves no trace: such a page is not kept longer for it.
  Pin peek(HostOffset at);

  /// Drops what is known about a range that no longer holds tables, waiting for pins to go. Nothing there may be edited
  /// any more by anybody, and edits not yet written are thrown away. Call without locks.
  void forget(HostRange range);

  /// Copies every page that waits to be written into `order`.
  void collect(WriteOrder& order);
  /// The order that was collected last is on stable storage, or is not known to be.
  void written();
  void failed();

  [[nodiscard]] std::size_t dirty_pages() const { return dirty_count_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t dirty_limit() const { return dirty_limit_; }

  struct Counts {
    std::uint64_t hits = 0, misses = 0, pages = 0, dirty = 0;
  };
  [[nodiscard]] Counts counts() const;

 private:
  enum class State : unsigned char { Clean, Dirty, Writing, Rewritten };
  struct Shard {
    mutable Mutex mutex{Rank::CacheIndex};
    Condition loaded;
    std::unordered_map<std::uint64_t, std::unique_ptr<Page>> pages;
    std::vector<Page*> clock;
    std::size_t hand = 0;
    std::uint64_t hits = 0, misses = 0;
  };
  static constexpr std::size_t kShards = 16;

  Shard& shard_of(HostOffset at);
  void make_room(Shard& shard);
  void remove(Shard& shard, Page& page);
  void mark_dirty(Page& page);
  static void unpin(Page& page);

  HostFile& file_;
  ByteCount page_size_;
  std::size_t pages_per_shard_;
  std::size_t dirty_limit_;
  std::array<Shard, kShards> shards_;
  Mutex dirty_mutex_{Rank::Queue};
  std::vector<Page*> dirty_;
  std::vector<Page*> writing_;  // only the one who flushes touches it
  std::atomic<std::size_t> dirty_count_{0};
};

}  // namespace flatimg
