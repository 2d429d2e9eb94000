// The refcounts of host clusters: the refcount table in memory, the blocks through the page cache.
//
// Rules of writing (README, O1..O4):
//   1. A page in which a counter rose goes out in step Prepare: before anything that mentions the cluster (O1).
//   2. A page in which counters only fell goes out in step Mention: nothing on disk mentions those clusters (O3).
//   3. A new entry of the refcount table goes out in step Point, behind the block that it points to (O4). A table that
//      has moved goes out as a whole in Prepare, and the header's pointer to it in Point.
// Not thread-safe: FreeSpace's mutex guards it.
#pragma once

#include <optional>
#include <vector>

#include "base/aligned_buffer.h"
#include "cache/resident_table.h"
#include "cache/table_cache.h"
#include "qcow2/header.h"
#include "qcow2/layout.h"
#include "qcow2/table_space.h"

namespace flatimg::qcow2 {

/// Host clusters by their number (host offset / cluster size).
struct ClusterRun {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  [[nodiscard]] std::uint64_t end() const { return first + count; }
};

/// One page of counters in memory of the caller's, good for as long as the mutex is held under which it was read.
class QuietPage {
 public:
  /// The mutex has been taken.
  void begin() {
    at_.reset();
    reads_ = 0;
  }
  /// How often the disk was read since.
  [[nodiscard]] unsigned reads() const { return reads_; }

 private:
  friend class Refcounts;
  std::optional<HostOffset> at_;
  AlignedBuffer memory_;
  unsigned reads_ = 0;
};

class Refcounts {
 public:
  Refcounts(HostFile& file, TableSpace& table_space, const Header& header, ByteCount cache_budget);

  /// Reads the table and checks that its entries are aligned, lie within `file_clusters` and differ.
  Result<void> open(std::uint64_t file_clusters);

  /// The counter of one cluster; 0 where no block covers it.
  Result<std::uint64_t> count_of(std::uint64_t cluster);

  /// The same without leaving a trace in the cache: what is not in memory is read into `page`.
  Result<std::uint64_t> count_quietly(std::uint64_t cluster, QuietPage& page);

  /// How many clusters from run.first have counter 0, at most run.count. Stops at the end of a cache page.
  Result<std::uint64_t> free_prefix(ClusterRun run);
  /// How many clusters from run.first have a counter above 0. Stops at the end of a cache page.
  Result<std::uint64_t> used_prefix(ClusterRun run);

  /// Adds one to every counter. Blocks for all of the run exist. All or nothing; NoSpace when the host has no room for
  /// the blocks.
  Result<void> raise(ClusterRun run);
  /// Takes one from every counter, or fails and changes none; returns the runs that became free. CorruptImage when a
  /// counter is 0 already.
  Result<std::vector<ClusterRun>> lower(ClusterRun run);

  enum class Change { Raise, Lower };
  /// One more or one less for clusters that are in use; returns the runs that became free. CorruptImage when a counter
  /// is 0 already, Limit when it would exceed its width; then nothing has changed.
  Result<std::vector<ClusterRun>> change_used(ClusterRun run, Change change);

  // --- a copy beside the one in use (table_switch.h) ---
  /// How many blocks there are.
  [[nodiscard]] std::uint64_t blocks() const;
  /// Writes a copy of all blocks to these clusters and a table that points to them. Nothing waits to be written.
  Result<void> copy_to(ClusterRun table, const std::vector<std::uint64_t>& clusters);
  /// Writes what waits in a copy, in any order: nothing points to it yet.
  Result<void> write_copy();
  /// Continues with a copy that has been written, and that the header points to. Nothing waits to be written.
  void become(const Refcounts& copy);
  [[nodiscard]] std::size_t dirty_limit() const { return cache_.dirty_limit(); }

  // --- blocks and the table ---
  [[nodiscard]] std::uint64_t counters_per_block() const { return layout_.counters_per_block(); }
  [[nodiscard]] bool has_block(std::uint64_t block) const;
  /// The table's part where the entry of a block is.
  [[nodiscard]] HostRange entry_of(std::uint64_t block) const;
  void add_block(std::uint64_t block, std::uint64_t cluster);
  void remove_block(std::uint64_t block);
  /// Entries that the table has room for.
  [[nodiscard]] std::uint64_t table_entries() const { return table_.size(); }
  [[nodiscard]] ClusterRun table_clusters() const;
  /// Moves the table to a larger place.
  void move_table(ClusterRun place);
  /// Takes move_table() back before anything was collected; blocks that only the larger table had room for are gone.
  void undo_move_table(ClusterRun former);

  void collect(WriteOrder& order);
  void written();
  void failed();

  [[nodiscard]] TableCache::Counts cache_counts() const { return cache_.counts(); }
  [[nodiscard]] std::size_t dirty_pages() const { return cache_.dirty_pages(); }
  /// Every cluster that holds a part of the refcount structure.
  [[nodiscard]] std::vector<ClusterRun> own_clusters() const;

 private:
  struct Part {               // the counters of a run that lie in one page
    TableCache::Pin page;     // not valid: no block covers these clusters, all counters are 0
    std::uint64_t index = 0;  // of the first counter, in the page
    std::uint64_t first = 0;  // the cluster that it counts
    std::uint64_t count = 0;
  };
  Result<std::vector<Part>> parts_of(ClusterRun run);
  Result<void> check_counted(const Part& part) const;
  Result<Part> part_at(std::uint64_t cluster, std::uint64_t at_most);
  [[nodiscard]] HostOffset block_at(std::uint64_t block) const;

  HostFile& file_;
  TableSpace& table_space_;
  Layout layout_;
  TableCache cache_;
  ResidentTable table_;
  HostOffset table_at_;
  std::uint32_t table_cluster_count_;
  bool table_moved_ = false;  // and the header does not know it yet
  bool moved_before_ = false;
  bool writing_moved_table_ = false;
};

}  // namespace flatimg::qcow2
