#include "qcow2/survey.h"

#include "base/checked.h"
#include "qcow2/l2_census.h"
#include "qcow2/piece_edit.h"

namespace flatimg::qcow2 {

namespace {

// How the time of a look is shared out.
constexpr unsigned kCensusPercent = 60;
constexpr unsigned kCountersPercent = 80;
constexpr std::uint64_t kClustersBetweenTelling = 1u << 16;

}  // namespace

Survey::Survey(HostFile& file, const Header& header, Census census, CountersOnDisk counters, TableScan scan,
               const Progress& progress)
    : file_(&file),
      header_(&header),
      layout_(header),
      census_(std::move(census)),
      counters_(std::move(counters)),
      scan_(std::move(scan)),
      counters_progress_(part_of(progress, kCensusPercent, kCountersPercent)),
      flags_progress_(part_of(progress, kCountersPercent, 100)) {}

Result<Survey> Survey::take(HostFile& file, const Header& header, Excess excess, const Progress& progress) {
  TRY(Census census, Census::take(file, header, {.excess = excess, .progress = part_of(progress, 0, kCensusPercent)}));
  TRY(CountersOnDisk counters, CountersOnDisk::of(file, header));
  TRY(TableScan scan, TableScan::of(file));
  return Survey(file, header, std::move(census), std::move(counters), std::move(scan), progress);
}

bool Survey::needs_rebuild() const {
  const bool can_widen = header_->version >= 3;
  return census_.refcount_faults > 0 || census_.snapshot_faults > 0 || counted_.zero_but_used > 0 ||
         census_.findings.check_errors > 0 || (can_widen && counted_.overfull > 0);
}

// --- counters -------------------------------------------------------------------------------------------------------

bool Survey::correct_counter(std::uint64_t cluster, std::uint64_t counted, std::uint64_t expected, Repair repair) {
  if (repair == Repair::None || counted == 0 || counted == expected) return false;
  if (counted < expected && repair != Repair::Everything) return false;
  // What a lost table names is counted, but not referenced: the only hint at data that may still be saved.
  if (counted > expected && census_.lost_tables > 0) return false;
  counters_.set(cluster, expected);
  ++(counted < expected ? counted_.raised : counted_.lowered);
  return true;
}

Result<void> Survey::compare_counter(std::uint64_t cluster, Repair repair) {
  CheckReport& findings = census_.findings;
  const std::uint64_t references = census_.expected(cluster);
  const std::uint64_t expected = std::min(references, layout_.largest_refcount());
  if (references > expected) {
    ++counted_.overfull;
    findings.corruption(references - expected, "cluster {} has {} references, more than a counter of {} bits holds",
                        cluster, references, 1u << layout_.refcount_order());
  }
  TRY(const std::optional<std::uint64_t> counted, counters_.count_of(cluster));
  if (!counted) {
    findings.unjudged("the counter of cluster {} cannot be read: its refcount block is misplaced", cluster);
    return {};
  }
  if (*counted > 0 || expected > 0) last_used_ = cluster;
  const bool corrected = correct_counter(cluster, *counted, expected, repair);
  if (!corrected && *counted < expected) {
    if (*counted == 0) ++counted_.zero_but_used;
    findings.corruption("cluster {} has refcount {} but {} references", cluster, *counted, expected);
  } else if (!corrected && *counted > expected) {
    findings.leak("cluster {} has refcount {} but {} references", cluster, *counted, expected);
  }
  const std::uint64_t now = corrected ? expected : *counted;
  flags_doubtful_ |= !census_.counts.agrees(cluster, now);
  if (references != 0 && now != references) census_.counts.set(cluster, now);
  return {};
}

// The clusters whose counters have been read already and are as they should be: nearly all.
std::uint64_t Survey::skip_what_agrees(std::uint64_t cluster, std::uint64_t end) {
  end = std::min(end, counters_.end_at_hand(cluster));
  for (; cluster < end; ++cluster) {
    const std::uint64_t counter = counters_.at_hand(cluster);
    if (!census_.counts.agrees(cluster, counter)) break;
    if (counter != 0) last_used_ = cluster;
  }
  return cluster;
}

Result<void> Survey::compare_counters(Repair repair) {
  const std::uint64_t clusters = census_.clusters();
  std::uint64_t cluster = 0;
  std::uint64_t next_tell = 0;
  while (cluster < clusters) {
    if (cluster >= next_tell) {
      tell(counters_progress_, cluster, clusters);
      next_tell = cluster + kClustersBetweenTelling;
    }
    if (!counters_.has_block(cluster)) {
      const std::uint64_t end = std::min(counters_.end_of_block(cluster), clusters);
      cluster = census_.counts.skip_unreferenced(cluster, end);
      if (cluster == end) continue;
    }
    CHECK(compare_counter(cluster, repair));
    ++cluster;
    if (counters_.has_block(cluster)) cluster = skip_what_agrees(cluster, clusters);
  }
  return counters_.write_back();
}

// --- COPIED ---------------------------------------------------------------------------------------------------------

Result<std::optional<std::uint64_t>> Survey::on_disk(std::uint64_t cluster) {
  if (const std::uint64_t count = census_.expected(cluster); count != 0) return std::optional(count);
  return counters_.count_of(cluster);
}

bool is_compressed_and_copied(Entry entry) { return Layout::is_compressed(entry) && (entry.word & kCopied) != 0; }

Result<bool> Survey::flag_is_wrong(Entry entry) {
  TRY(const auto count, on_disk((entry.word & kOffsetMask) / layout_.cluster().value()));
  return count && (*count == 1) != ((entry.word & kCopied) != 0);
}

Result<void> Survey::compare_l1_piece(PieceEdit& piece, std::uint64_t first, Repair repair) {
  const std::uint64_t entries = std::min<std::uint64_t>(piece.size() / 8, header_->l1_entries - first);
  for (std::uint64_t i = 0; i < entries; ++i) {
    const std::uint64_t word = piece.word(i * 8);
    if ((word & kOffsetMask) == 0) continue;
    TRY(const bool wrong, flag_is_wrong({word, 0}));
    if (!wrong) continue;
    if (repair == Repair::Everything && census_.l1_alone) {
      piece.set(i * 8, word ^ kCopied);
      ++counted_.flags_corrected;
    } else {
      ++counted_.wrong_flags;
      census_.findings.corruption("the COPIED flag of L1 entry {} ({:#018x}) is wrong", first + i, word);
    }
  }
  return {};
}

Result<void> Survey::compare_l1(Repair repair) {
  const HostRange l1{header_->l1_table, align_up(ByteCount(header_->l1_entries) * 8, 512_B)};
  return scan_.pieces(l1, [&](ByteCount from, std::span<const std::byte> bytes) -> Result<void> {
    PieceEdit piece(l1.begin + from, bytes);
    CHECK(compare_l1_piece(piece, from.value() / 8, repair));
    return piece.write_to(*file_);
  });
}

Result<void> Survey::compare_l2_piece(PieceEdit& piece, const L2Use& table, Repair repair) {
  const bool in_data_file = header_->has(incompatible::kDataFile);
  for (std::size_t at = 0; at < piece.size(); at += layout_.words_per_entry() * 8) {
    const Entry entry{piece.word(at), 0};
    if (repair == Repair::Everything && table.alone && is_compressed_and_copied(entry)) {
      piece.set(at, entry.word ^ kCopied);
      ++counted_.flags_corrected;
    }
    if (entry.word == 0 || Layout::is_compressed(entry) || !names_host_cluster(*header_, entry)) continue;
    bool wrong = (entry.word & kCopied) == 0;  // in a data file: nothing is ever shared there
    if (!in_data_file) {
      TRY(wrong, flag_is_wrong(entry));
    }
    if (!wrong) continue;
    if (repair == Repair::Everything && table.alone) {
      piece.set(at, entry.word ^ kCopied);
      ++counted_.flags_corrected;
    } else {
      counted_.wrong_flags += table.by_active;
      census_.findings.corruption(table.by_active, "the COPIED flag of L2 entry {:#018x} is wrong", entry.word);
    }
  }
  return {};
}

Result<void> Survey::compare_l2(const L2Use& table, Repair repair) {
  return scan_.pieces({table.at, layout_.cluster()},
                      [&](ByteCount from, std::span<const std::byte> bytes) -> Result<void> {
                        PieceEdit piece(table.at + from, bytes);
                        CHECK(compare_l2_piece(piece, table, repair));
                        return piece.write_to(*file_);
                      });
}

// The walk has noted how the tables name each cluster. Where nothing is wrong so far and that fits to every counter,
// the flags are right, and the tables need not be read again.
bool Survey::flags_are_right() const {
  return census_.findings.is_clean() && !flags_doubtful_ && census_.doubtful_flags == 0;
}

Result<void> Survey::compare_flags(Repair repair) {
  if (!flags_are_right()) CHECK(compare_all_flags(repair));
  tell(flags_progress_, 1, 1);
  return {};
}

Result<void> Survey::compare_all_flags(Repair repair) {
  CHECK(compare_l1(repair));
  std::uint64_t compared = 0;
  for (const L2Use& table : census_.l2_tables) {
    tell(flags_progress_, compared++, census_.l2_tables.size());
    if (table.by_active == 0 || table.at.value() == 0) continue;
    CHECK(compare_l2(table, repair));
  }
  return {};
}

// --- the verdict ----------------------------------------------------------------------------------------------------

CheckReport Survey::report() const {
  CheckReport report = census_.findings;
  report.image_end = layout_.cluster() * (last_used_ + 1);
  report.total_clusters = ceil_divide(header_->size.value(), layout_.cluster().value());
  report.allocated_clusters = census_.active.allocated;
  report.fragmented_clusters = census_.active.fragmented;
  report.compressed_clusters = census_.active.compressed;
  return report;
}

}  // namespace flatimg::qcow2
