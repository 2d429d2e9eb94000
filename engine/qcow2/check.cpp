#include "qcow2/check.h"

#include "base/checked.h"
#include "base/endian.h"
#include "qcow2/counters_on_disk.h"
#include "qcow2/header.h"
#include "qcow2/l2_census.h"
#include "qcow2/table_scan.h"

namespace flatimg::qcow2 {

namespace {

class Judge {
 public:
  Judge(const Header& header, Census census, CountersOnDisk counters, TableScan scan)
      : header_(header),
        layout_(header),
        census_(std::move(census)),
        counters_(std::move(counters)),
        scan_(std::move(scan)) {}

  Result<void> compare_counters();
  Result<void> check_copied_flags();
  [[nodiscard]] CheckReport report() const;

 private:
  Result<void> compare_counter(std::uint64_t cluster);
  Result<std::optional<std::uint64_t>> on_disk(std::uint64_t cluster);
  Result<void> check_l1_entry(std::uint64_t index, std::uint64_t word);
  Result<void> check_l1_piece(std::uint64_t first, std::span<const std::byte> piece);
  Result<void> check_l2_piece(const L2Use& table, std::span<const std::byte> piece);
  Result<void> check_l2_entry(const L2Use& table, Entry entry);

  const Header& header_;
  Layout layout_;
  Census census_;  // after compare_counters(), its counts of referenced clusters are those on disk
  CountersOnDisk counters_;
  TableScan scan_;
  std::uint64_t last_used_ = 0;
};

// --- counters -------------------------------------------------------------------------------------------------------

Result<void> Judge::compare_counter(std::uint64_t cluster) {
  Findings& findings = census_.findings;
  const std::uint64_t references = census_.expected(cluster);
  const std::uint64_t expected = std::min(references, layout_.largest_refcount());
  if (references > expected) {
    findings.corruption(references - expected, "cluster {} has {} references, more than a counter of {} bits holds",
                        cluster, references, 1u << layout_.refcount_order());
  }
  TRY(const std::optional<std::uint64_t> counted, counters_.count_of(cluster));
  if (!counted) {
    findings.unjudged("the counter of cluster {} cannot be read: its refcount block is misplaced", cluster);
    return {};
  }
  if (*counted > 0 || expected > 0) last_used_ = cluster;
  if (*counted < expected) {
    findings.corruption(1, "cluster {} has refcount {} but {} references", cluster, *counted, expected);
  } else if (*counted > expected) {
    findings.leak("cluster {} has refcount {} but {} references", cluster, *counted, expected);
  }
  if (references != 0 && *counted != references) census_.counts.set(cluster, *counted);
  return {};
}

Result<void> Judge::compare_counters() {
  const std::uint64_t clusters = census_.clusters();
  std::uint64_t cluster = 0;
  while (cluster < clusters) {
    if (!counters_.has_block(cluster)) {
      const std::uint64_t end = std::min(counters_.end_of_block(cluster), clusters);
      cluster = census_.counts.skip_unreferenced(cluster, end);
      if (cluster == end) continue;
    }
    CHECK(compare_counter(cluster));
    ++cluster;
  }
  return {};
}

// --- COPIED ---------------------------------------------------------------------------------------------------------

Result<std::optional<std::uint64_t>> Judge::on_disk(std::uint64_t cluster) {
  if (const std::uint64_t count = census_.expected(cluster); count != 0) return std::optional(count);
  return counters_.count_of(cluster);
}

Result<void> Judge::check_l1_entry(std::uint64_t index, std::uint64_t word) {
  const std::uint64_t l2_table = word & kOffsetMask;
  if (l2_table == 0) return {};
  TRY(const auto count, on_disk(l2_table / layout_.cluster().value()));
  if (count && (*count == 1) != ((word & kCopied) != 0)) {
    census_.findings.corruption(1, "the COPIED flag of L1 entry {} ({:#018x}) is wrong: the refcount is {}", index,
                                word, *count);
  }
  return {};
}

Result<void> Judge::check_l1_piece(std::uint64_t first, std::span<const std::byte> piece) {
  const std::uint64_t entries = std::min<std::uint64_t>(piece.size() / 8, header_.l1_entries - first);
  for (std::uint64_t i = 0; i < entries; ++i) CHECK(check_l1_entry(first + i, load_be<std::uint64_t>(piece, i * 8)));
  return {};
}

Result<void> Judge::check_l2_entry(const L2Use& table, Entry entry) {
  if (Layout::is_compressed(entry) || !names_host_cluster(header_, entry)) return {};
  std::optional<std::uint64_t> count = 1;  // nothing is ever shared in a data file
  if (!header_.has(incompatible::kDataFile)) {
    TRY(count, on_disk((entry.word & kOffsetMask) / layout_.cluster().value()));
  }
  if (count && (*count == 1) != ((entry.word & kCopied) != 0)) {
    census_.findings.corruption(table.by_active, "the COPIED flag of L2 entry {:#018x} is wrong: the refcount is {}",
                                entry.word, *count);
  }
  return {};
}

Result<void> Judge::check_l2_piece(const L2Use& table, std::span<const std::byte> piece) {
  for (std::size_t at = 0; at < piece.size(); at += layout_.words_per_entry() * 8) {
    if (const auto word = load_be<std::uint64_t>(piece, at); word != 0) CHECK(check_l2_entry(table, Entry{word, 0}));
  }
  return {};
}

// Only the active tables: a snapshot's copy of the L1 table says what was true before it was taken.
Result<void> Judge::check_copied_flags() {
  const HostRange l1{header_.l1_table, align_up(ByteCount(header_.l1_entries) * 8, 512_B)};
  const auto visit_l1 = [&](ByteCount from, std::span<const std::byte> piece) {
    return check_l1_piece(from.value() / 8, piece);
  };
  CHECK(scan_.pieces(l1, visit_l1));
  for (const L2Use& table : census_.l2_tables) {
    if (table.by_active == 0 || table.at.value() == 0) continue;
    CHECK(scan_.pieces({table.at, layout_.cluster()},
                       [&](ByteCount, std::span<const std::byte> piece) { return check_l2_piece(table, piece); }));
  }
  return {};
}

CheckReport Judge::report() const {
  const Findings& findings = census_.findings;
  CheckReport report;
  report.corruptions = findings.corruptions();
  report.leaks = findings.leaks();
  report.check_errors = findings.unjudged_places();
  report.image_end = layout_.cluster() * (last_used_ + 1);
  report.total_clusters = ceil_divide(header_.size.value(), layout_.cluster().value());
  report.allocated_clusters = census_.active.allocated;
  report.fragmented_clusters = census_.active.fragmented;
  report.compressed_clusters = census_.active.compressed;
  report.sentences = findings.sentences();
  report.untold = findings.untold();
  return report;
}

}  // namespace

Result<CheckReport> check(HostFile& file, const Header& header) {
  TRY(Census census, Census::take(file, header));
  TRY(CountersOnDisk counters, CountersOnDisk::of(file, header));
  TRY(TableScan scan, TableScan::of(file));
  Judge judge(header, std::move(census), std::move(counters), std::move(scan));
  CHECK(judge.compare_counters());
  CHECK(judge.check_copied_flags());
  return judge.report();
}

}  // namespace flatimg::qcow2
