// A second set of tables beside the one in use, and the one write to the header that changes over to it: how internal
// snapshots are taken, applied and deleted.
//
//   reserve      clusters for all new tables, taken like any others; on disk with their counters behind a flush
//   build        new L2 tables, L1 table, snapshot table and a copy of the refcount structure, in which the counters
//                become what they must be afterwards
//   commit       a barrier, one write to the header's first sector, a barrier; only then memory follows
//
// Invariants:
//   1. The tables in use are never changed. Before the write of the header the new ones are leaks, behind it the old
//      ones are counted as free: a crash leaves the old or the new state, and neither needs a repair. In particular no
//      state has a COPIED bit that contradicts its counter, which no order of writes in place could promise.
//   2. The whole disk is held in Change, and nothing waits to be written when the copy is made.
//   3. Nothing in the tables is trusted: a cluster that is not counted, lies behind the end of the file or holds
//   another
//      table ends the operation, and nothing has changed.
//   4. One L2 table is in memory at a time, beside the L1 tables.
#pragma once

#include "qcow2/qcow2_image.h"

namespace flatimg::qcow2 {

using L1Words = std::vector<std::uint64_t>;

class Qcow2Image::TableSwitch {
 public:
  struct Need {
    std::uint64_t l2_tables = 0;
    std::uint64_t l1_words = 0;
    ByteCount snapshot_table;
  };
  /// Reserves and copies. Flushes.
  static Result<std::unique_ptr<TableSwitch>> prepare(Qcow2Image& image, const Need& need);
  /// Gives back what was reserved, unless it was committed.
  ~TableSwitch();
  TableSwitch(const TableSwitch&) = delete;
  TableSwitch& operator=(const TableSwitch&) = delete;

  /// Gives every L1 word a table of its own, a copy whose clusters are counted once more.
  Result<void> copy_tables(L1Words& words);
  /// What these L1 words name is mentioned once less.
  Result<void> drop_tables(const L1Words& words);
  /// Makes COPIED right in the words and the tables that they name, after the counters have changed: where a table has
  /// to change it is replaced by a copy.
  Result<void> renew_copied(L1Words& words);
  /// A table that is mentioned once less.
  Result<void> drop(ClusterRun table);

  struct Outcome {
    ByteCount size;
    std::uint32_t snapshots = 0;
    std::vector<std::byte> snapshot_table;  // empty: the one there is stays
  };
  Result<void> commit(const L1Words& words, const Outcome& outcome);

 private:
  TableSwitch(Qcow2Image& image, const Need& need) : image_(image), need_(need) {}
  Result<void> reserve();
  Result<void> settle();
  Result<void> copy_refcounts();
  Result<void> read_table(std::uint64_t l1_word);
  Result<std::uint64_t> write_table();
  [[nodiscard]] Entry entry(std::size_t nth) const;
  [[nodiscard]] bool names_cluster(Entry entry) const;
  Result<void> count_entries(Refcounts::Change change);
  Result<void> count(ClusterRun run, Refcounts::Change change);
  void mark(std::size_t nth, std::uint64_t word);
  Result<bool> renew_entries();
  Result<void> write_snapshot_table(const Outcome& outcome);
  void follow(const L1Words& words, const Outcome& outcome);
  void keep_freed(const std::vector<ClusterRun>& freed);

  Qcow2Image& image_;
  const Need need_;
  std::vector<FreeSpace::Grant> l2_space_;
  std::vector<HostOffset> l2_written_;
  FreeSpace::Grant l1_space_;
  FreeSpace::Grant snapshot_space_;
  FreeSpace::CopyPlace copy_place_;
  std::unique_ptr<Refcounts> counts_;
  std::vector<std::byte> table_;  // the L2 table at hand
  HostOffset table_at_;
  std::vector<ClusterRun> freed_;
  bool committed_ = false;
};

}  // namespace flatimg::qcow2
