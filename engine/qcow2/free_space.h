// Which host clusters are free, and the free rule.
//
// The life of a host cluster (each arrow names the function):
//
//   Unknown --find_free--> Free --refill--> Reserved --take--> Granted --(link)--> mentioned by a table
//     (in the file, counter 0)     |                ^             |                    |
//                                  |                +--give_back--+                    | release_later
//                                  +<----finish_release (counter 0, punched)------- Pending
//
// Invariants:
//   1. Reserved and Granted clusters have their counters raised (in memory at least), so a flush that writes a mention
//      writes the counter before it (O1). After a crash they are leaks; there are at most kMostReserved bytes of them.
//   2. A cluster in Pending is still counted on disk. It becomes Free only behind a flush that began after it was
//      unlinked, and after its punch (the free rule, O3).
//   3. A cluster that was never written since the file was grown for it reads as zeroes: Grant::reads_zero.
//   4. What the counters call free, but a table of this image occupies, is a contradiction: nothing is allocated any
//   more.
//   5. A cluster whose punch has not ended is nobody's, although its counter is 0 already.
//   6. The file grows before counters beyond its end are raised, so no mention ever points past the end of the file.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_set>

#include "qcow2/refcounts.h"
#include "qcow2/seen_clusters.h"

namespace flatimg::qcow2 {

class FreeSpace {
 public:
  FreeSpace(HostFile& file, const Header& header, ByteCount cache_budget);

  /// Reads the refcount table. No other call before.
  Result<void> open();

  /// Clusters that are reserved for the caller, one behind the other.
  struct Grant {
    ClusterRun run;
    bool reads_zero = false;
  };
  /// At least one and at most `wanted` clusters.
  Result<Grant> take(std::uint64_t wanted);
  /// Exactly `count` clusters, one behind the other, for a table.
  Result<Grant> take_run(std::uint64_t count);
  /// One more mention of a cluster that is in use and stays so. Limit when its counter has no room for that.
  Result<void> share(std::uint64_t cluster);
  /// Takes back what was granted and is not mentioned by any table.
  void give_back(const Grant& grant);

  /// The run was mentioned once less (in memory). It is released when that is on disk.
  void release_later(ClusterRun run);

  // --- a second refcount structure (table_switch.h) ---
  struct CopyPlace {
    Grant table;
    std::vector<Grant> blocks;
  };
  /// Space for a copy of the refcount structure as it is when this returns. On an error everything is given back.
  Result<CopyPlace> take_copy_place();
  /// Makes the copy. Everything is on disk, and nobody takes or releases until adopt() or until the copy is dropped.
  Result<std::unique_ptr<Refcounts>> copy_refcounts(const CopyPlace& place, const Header& header, ByteCount cache);
  /// The header points to the copy now; `freed` fell to 0 in it.
  void adopt(const Refcounts& copy, std::vector<ClusterRun> freed);

  // --- around a flush, by the one who flushes ---
  using Pending = std::vector<ClusterRun>;
  /// What a flush that begins now will have unlinked on disk. Call before any table is collected.
  Pending begin_release();
  void collect(WriteOrder& order);
  void written();
  void failed(Pending pending);
  /// Puts back what is not to be released, neither now nor later.
  void keep(Pending pending);
  /// The flush that began after begin_release() is on disk: lowers counters, punches, makes free.
  Result<void> finish_release(Pending pending);

  /// At close, behind a flush: lowers the counters of what is reserved. Another flush must follow, then trim_file().
  Result<void> return_reserved();
  /// Cuts unused clusters off the end of the file.
  Result<void> trim_file();

  // --- an audit (table_audit.h), by one thread: free_space_audit.cpp ---
  /// Begins to remember which clusters of the window have been seen; until end_audit(), or until adopt().
  void begin_audit(ClusterRun window);
  void end_audit();
  /// What an entry names.
  struct Mention {
    enum class By : unsigned char { L1Table, L2Table };
    ClusterRun run;
    bool own = false;  // by its COPIED flag
    By by = By::L2Table;
  };
  struct AuditedMentions {
    std::size_t judged = 0;     // from the first one on; less than all when that would take many reads
    std::string contradiction;  // of the one behind those
    bool aborted = false;       // what was seen counts no more
  };
  /// Compares entries that are held with the counters, and with what was seen before.
  Result<AuditedMentions> audit(std::span<const Mention> mentions, QuietPage& page);
  struct CountedLeaks {
    std::uint64_t next = 0;
    std::uint64_t leaks = 0;
    bool aborted = false;
  };
  /// Clusters from `from` on that are counted, and that nobody has mentioned since the audit began; as many as one page
  /// of counters has, at most.
  Result<CountedLeaks> count_leaks(std::uint64_t from, QuietPage& page);

  /// Host space for tables that are about to change.
  [[nodiscard]] TableSpace& table_space() { return table_space_; }

  /// Clusters that hold tables. Data is never written there, and they are never handed out.
  void protect(ClusterRun run);
  /// The same for the refcount table and every block.
  void protect_refcounts();
  /// Where these are.
  std::vector<ClusterRun> refcount_clusters();
  /// False when one of the clusters holds a table.
  bool may_hold_data(ClusterRun run);

  /// The end of the file in whole clusters; entries beyond it are errors. Any thread, no lock.
  [[nodiscard]] std::uint64_t file_clusters() const { return file_clusters_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t pending_clusters() const { return pending_clusters_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t dirty_pages() const { return refcounts_.dirty_pages(); }

  struct Counts {
    std::uint64_t reserved = 0, free = 0, pending = 0, granted_total = 0, released_total = 0;
    TableCache::Counts cache;
  };
  Counts counts();

 private:
  struct Plan {
    std::vector<std::uint64_t> blocks;  // refcount blocks to be made
    std::uint64_t table_clusters = 0;   // of a larger refcount table, 0 when it need not grow
    [[nodiscard]] std::uint64_t overhead() const { return blocks.size() + table_clusters; }
  };
  struct CopyNeeds {
    std::uint64_t table_clusters = 0;
    std::uint64_t blocks = 0;
  };
  CopyNeeds copy_needs();
  static Pending joined(Pending runs);
  Result<void> refill(std::uint64_t wanted) REQUIRES(mutex_);
  Result<bool> refill_from_free(std::uint64_t wanted) REQUIRES(mutex_);
  Result<bool> refill_from_file(std::uint64_t wanted) REQUIRES(mutex_);
  Result<void> refill_from_end(std::uint64_t wanted) REQUIRES(mutex_);
  Result<Grant> append(std::uint64_t wanted) REQUIRES(mutex_);
  std::optional<Grant> cut_reserved(std::uint64_t count) REQUIRES(mutex_);
  Result<std::optional<Grant>> reserve_free(std::uint64_t count) REQUIRES(mutex_);
  Result<void> skip_counted_end() REQUIRES(mutex_);
  Plan plan_append(std::uint64_t wanted) REQUIRES(mutex_);
  Result<void> reserve_tables(const Plan& plan) REQUIRES(mutex_);
  Result<void> grow_file(std::uint64_t clusters) REQUIRES(mutex_);
  Result<void> reserve(ClusterRun run) REQUIRES(mutex_);
  void punch_and_free(ClusterRun run) EXCLUDES(mutex_);
  void note_mentioned(ClusterRun run) REQUIRES(mutex_) {
    if (seen_) seen_->note_mentioned(run);
  }
  Result<std::string> contradiction_of(const Mention& mention, QuietPage& page) REQUIRES(mutex_);
  Result<void> note_seen(const Mention& mention, QuietPage& page) REQUIRES(mutex_);
  [[nodiscard]] ClusterRun not_being_punched(ClusterRun run) const REQUIRES(mutex_);
  [[nodiscard]] HostRange bytes_of(ClusterRun run) const;

  static constexpr ByteCount kMostReserved{64u << 20};
  static constexpr std::uint64_t kMostReservedClusters = 4096;

  HostFile& file_;
  const ByteCount cluster_;
  std::atomic<std::uint64_t> file_clusters_{0};
  std::atomic<std::uint64_t> pending_clusters_{0};

  TableSpace table_space_;
  Mutex mutex_{Rank::Allocator};
  Refcounts refcounts_;
  std::deque<Grant> reserved_ GUARDED_BY(mutex_);
  std::deque<ClusterRun> free_ GUARDED_BY(mutex_);
  Pending pending_ GUARDED_BY(mutex_);
  std::vector<ClusterRun> punching_ GUARDED_BY(mutex_);  // counted as free, and not yet in free_
  std::unordered_set<std::uint64_t> tables_ GUARDED_BY(mutex_);
  std::uint64_t end_ GUARDED_BY(mutex_) = 0;           // nothing at or behind this cluster is counted
  bool end_known_ GUARDED_BY(mutex_) = false;          // skip_counted_end() has run
  std::uint64_t next_unknown_ GUARDED_BY(mutex_) = 0;  // from here to unknown_end_ nobody has looked for free clusters
  std::uint64_t unknown_end_ GUARDED_BY(mutex_) = 0;
  std::uint64_t ahead_ GUARDED_BY(mutex_);  // clusters to reserve next time
  Counts counts_ GUARDED_BY(mutex_);
  std::optional<SeenClusters> seen_ GUARDED_BY(mutex_);  // while an audit is under way
};

}  // namespace flatimg::qcow2
