// One look at a whole image: the census of references, the counters on disk compared with it, and the COPIED flags
// compared with the counters. check reports what it finds; repair corrects on the way.
//
// Invariants:
//   1. Without Repair in the call nothing is written.
//   2. A counter is corrected where it is, and only if it is not 0: a counter of 0 for a used cluster means that the
//      refcounts cannot be trusted, and then they are made anew (rebuild.h).
//   3. A COPIED flag is corrected only in tables whose clusters are used for nothing but tables.
#pragma once

#include "image/report.h"
#include "qcow2/census.h"
#include "qcow2/counters_on_disk.h"
#include "qcow2/header.h"
#include "qcow2/table_scan.h"

namespace flatimg::qcow2 {

class PieceEdit;

class Survey {
 public:
  /// Takes the census. Fails where nothing can be said: the host cannot read, or the snapshot table or the bitmap
  /// directory cannot be understood. `header` lives longer than the survey. The progress is that of the census and of
  /// both comparisons.
  static Result<Survey> take(HostFile& file, const Header& header, Excess excess, const Progress& progress);

  enum class Repair {
    None,
    TooHigh,  // counters that only waste space
    Everything,
  };
  /// Compares every counter. Call once, before compare_flags().
  Result<void> compare_counters(Repair repair = Repair::None);
  /// Compares the COPIED flags of the active tables with the counters as they are on disk now.
  Result<void> compare_flags(Repair repair = Repair::None);

  [[nodiscard]] const Census& census() const { return census_; }
  [[nodiscard]] CheckReport report() const;

  struct Counted {
    std::uint64_t zero_but_used = 0;  // counters of 0 for clusters that are referenced
    std::uint64_t overfull = 0;       // clusters with more references than a counter can hold
    std::uint64_t raised = 0;
    std::uint64_t lowered = 0;
    std::uint64_t wrong_flags = 0;  // COPIED flags that were left as they are
    std::uint64_t flags_corrected = 0;
  };
  [[nodiscard]] const Counted& counted() const { return counted_; }
  /// Whether the refcounts have to be made anew before anything else can be corrected.
  [[nodiscard]] bool needs_rebuild() const;

 private:
  Survey(HostFile& file, const Header& header, Census census, CountersOnDisk counters, TableScan scan,
         const Progress& progress);

  Result<void> compare_counter(std::uint64_t cluster, Repair repair);
  std::uint64_t skip_what_agrees(std::uint64_t cluster, std::uint64_t end);
  [[nodiscard]] bool flags_are_right() const;
  bool correct_counter(std::uint64_t cluster, std::uint64_t counted, std::uint64_t expected, Repair repair);
  Result<std::optional<std::uint64_t>> on_disk(std::uint64_t cluster);
  Result<bool> flag_is_wrong(Entry entry);
  Result<void> compare_all_flags(Repair repair);
  Result<void> compare_l1(Repair repair);
  Result<void> compare_l2(const L2Use& table, Repair repair);
  Result<void> compare_l1_piece(PieceEdit& piece, std::uint64_t first, Repair repair);
  Result<void> compare_l2_piece(PieceEdit& piece, const L2Use& table, Repair repair);

  HostFile* file_;
  const Header* header_;
  Layout layout_;
  Census census_;  // after compare_counters(), its counts of referenced clusters are those on disk
  CountersOnDisk counters_;
  TableScan scan_;
  Progress counters_progress_;
  Progress flags_progress_;
  Counted counted_;
  std::uint64_t last_used_ = 0;
  bool flags_doubtful_ = false;  // some cluster is named otherwise than its counter has it
};

}  // namespace flatimg::qcow2
