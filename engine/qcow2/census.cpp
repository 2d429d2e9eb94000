#include "qcow2/census.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/checked.h"
#include "base/endian.h"
#include "base/limits.h"
#include "base/text.h"
#include "qcow2/bitmap_directory.h"
#include "qcow2/header.h"
#include "qcow2/l2_census.h"
#include "qcow2/snapshot_table.h"
#include "qcow2/table_scan.h"

namespace flatimg::qcow2 {

namespace {

constexpr std::uint64_t kMostClusters = std::uint64_t{1} << 32;

// Tables that begin at the same place and have the same length are one table with several users.
using TableUses = std::map<std::pair<HostOffset, std::uint32_t>, std::uint64_t>;

class Walk {
 public:
  Walk(HostFile& file, const Header& header, Census& census, RangeCount& count, TableScan scan)
      : file_(file), header_(header), layout_(header), census_(census), count_(count), scan_(std::move(scan)) {}

  Result<void> everything_but_refcounts(const Census::Wanted& wanted);
  Result<void> refcount_structure();

 private:
  enum class Owner { Active, Snapshots };

  Result<void> walk_l1(HostOffset at, std::uint32_t entries, std::uint64_t uses, Owner owner);
  void note_l1_entry(std::uint64_t word, std::uint64_t uses, Owner owner);
  Result<void> walk_snapshots(Census::Scope scope);
  void note_snapshot(const Snapshot& snapshot);
  TableUses usable_l1_tables();
  [[nodiscard]] bool l1_is_usable(const Snapshot& snapshot);
  Result<void> walk_l2_tables(const Progress& progress);
  Result<void> walk_bitmaps();
  Result<void> walk_bitmap_table(HostOffset at, std::uint32_t entries, std::uint64_t uses);
  void count_refcount_block(std::uint64_t word, std::uint64_t index);
  [[nodiscard]] bool refcount_table_is_readable();

  // Calls visit(index, word) for each word that is not 0.
  template <class Visit>
  Result<void> each_word(HostOffset at, std::uint64_t words, const Visit& visit);

  HostFile& file_;
  const Header& header_;
  Layout layout_;
  Census& census_;
  RangeCount& count_;
  TableScan scan_;
  std::unordered_map<std::uint64_t, L2Use> l2_uses_;
};

template <class Visit>
Result<void> Walk::each_word(HostOffset at, std::uint64_t words, const Visit& visit) {
  const HostRange table{at, align_up(ByteCount(words * 8), 512_B)};
  return scan_.pieces(table, [&](ByteCount from, std::span<const std::byte> piece) -> Result<void> {
    const std::uint64_t first = from.value() / 8;
    const std::uint64_t here = std::min<std::uint64_t>(piece.size() / 8, words - std::min(words, first));
    for (std::uint64_t i = 0; i < here; ++i) {
      if (const auto word = load_be<std::uint64_t>(piece, i * 8); word != 0) visit(first + i, word);
    }
    return {};
  });
}

// --- L1 and L2 ------------------------------------------------------------------------------------------------------

void Walk::note_l1_entry(std::uint64_t word, std::uint64_t uses, Owner owner) {
  if ((word & kL1Reserved) != 0) {
    census_.findings.corruption(uses, "L1 entry {:#018x} has reserved bits set", word);
  }
  const std::uint64_t l2_table = word & kOffsetMask;
  if (!count_.add({HostOffset(l2_table), layout_.cluster()}, uses, "L2 table")) ++census_.lost_tables;
  if (l2_table % layout_.cluster().value() != 0) {
    ++census_.lost_tables;
    census_.findings.corruption(uses, "the L2 table at {:#x} does not begin at a cluster", l2_table);
  }
  if (owner == Owner::Active && l2_table != 0) {
    census_.note_naming(l2_table / layout_.cluster().value(), (word & kCopied) != 0 ? Naming::AsOwn : Naming::AsShared);
  }
  L2Use& use = l2_uses_[l2_table];
  use.at = HostOffset(l2_table);
  (owner == Owner::Active ? use.by_active : use.by_snapshots) += uses;
}

Result<void> Walk::walk_l1(HostOffset at, std::uint32_t entries, std::uint64_t uses, Owner owner) {
  const HostRange table{at, ByteCount(entries) * 8};
  if (!count_.add(table, uses, "L1 table")) {
    ++census_.lost_tables;
    if (at.value() > limits::kQcow2HostOffset) return {};
  }
  return each_word(at, entries, [&](std::uint64_t, std::uint64_t word) { note_l1_entry(word, uses, owner); });
}

bool Walk::l1_is_usable(const Snapshot& snapshot) {
  if (!(snapshot.l1_table % layout_.cluster()).is_zero()) {
    census_.findings.corruption("the L1 table of snapshot {} at {:#x} does not begin at a cluster", shown(snapshot.id),
                                snapshot.l1_table.value());
    return false;
  }
  if (ByteCount(snapshot.l1_entries) * 8 > limits::kQcow2L1Table) {
    census_.findings.corruption("the L1 table of snapshot {} is too large ({} entries)", shown(snapshot.id),
                                snapshot.l1_entries);
    return false;
  }
  return true;
}

void Walk::note_snapshot(const Snapshot& snapshot) {
  const bool complete = header_.version < 3 || snapshot.extra_data_size >= kLeastExtraDataInVersion3;
  if (complete && snapshot.extra_data.size() == snapshot.extra_data_size) return;
  ++census_.snapshot_faults;
  if (complete) {
    census_.findings.corruption("the snapshot table entry of snapshot {} has {} bytes of extra data, too many",
                                shown(snapshot.id), snapshot.extra_data_size);
  } else {
    census_.findings.corruption("the snapshot table entry of snapshot {} is incomplete", shown(snapshot.id));
  }
}

TableUses Walk::usable_l1_tables() {
  TableUses uses;
  for (const Snapshot& snapshot : census_.snapshots.snapshots) {
    note_snapshot(snapshot);
    if (l1_is_usable(snapshot)) {
      ++uses[{snapshot.l1_table, snapshot.l1_entries}];
    } else {
      ++census_.lost_tables;
    }
  }
  return uses;
}

Result<void> Walk::walk_snapshots(Census::Scope scope) {
  const SnapshotTable& table = census_.snapshots;
  if (header_.has(incompatible::kDataFile) && !table.snapshots.empty()) {
    census_.findings.corruption("there are {} snapshots in an image with a data file", table.snapshots.size());
  }
  if (table.dropped > 0) {
    census_.snapshot_faults += table.dropped;
    census_.findings.corruption(table.dropped, "{} snapshots are more than can be", table.dropped);
  }
  if (scope != Census::Scope::OnlyWhatStays) count_.add({header_.snapshot_table, table.bytes}, 1, "snapshot table");
  for (const auto& [l1, uses] : usable_l1_tables()) {
    CHECK(walk_l1(l1.first, l1.second, uses, Owner::Snapshots));
  }
  return {};
}

Result<void> Walk::walk_l2_tables(const Progress& progress) {
  for (const auto& [at, use] : l2_uses_) census_.l2_tables.push_back(use);
  l2_uses_.clear();
  std::sort(census_.l2_tables.begin(), census_.l2_tables.end(),
            [](const L2Use& a, const L2Use& b) { return a.at < b.at; });
  std::uint64_t walked = 0;
  for (const L2Use& use : census_.l2_tables) {
    tell(progress, walked++, census_.l2_tables.size());
    L2Census table(header_, use, census_, count_);
    CHECK(scan_.pieces({use.at, layout_.cluster()}, [&](ByteCount, std::span<const std::byte> piece) -> Result<void> {
      table.read(piece);
      return {};
    }));
  }
  return {};
}

// --- bitmaps --------------------------------------------------------------------------------------------------------

Result<void> Walk::walk_bitmap_table(HostOffset at, std::uint32_t entries, std::uint64_t uses) {
  count_.add({at, ByteCount(entries) * 8}, uses, "bitmap table");
  return each_word(at, entries, [&](std::uint64_t index, std::uint64_t word) {
    const std::uint64_t host = word & kOffsetMask;
    const bool misaligned = host % layout_.cluster().value() != 0;
    if ((word & kBitmapEntryReserved) != 0 || misaligned || (host != 0 && (word & 1) != 0)) {
      census_.findings.corruption(uses, "entry {} of the bitmap table at {:#x} is damaged: {:#018x}", index, at.value(),
                                  word);
    } else if (host != 0) {
      count_.add({HostOffset(host), layout_.cluster()}, uses, "bitmap");
    }
  });
}

Result<void> Walk::walk_bitmaps() {
  TRY(const std::vector<Bitmap> bitmaps, read_bitmap_directory(file_, header_));
  if (bitmaps.empty()) return {};
  count_.add({header_.bitmaps->directory, header_.bitmaps->directory_size}, 1, "bitmap directory");
  TableUses tables;
  for (const Bitmap& bitmap : bitmaps) ++tables[{bitmap.table, bitmap.table_entries}];
  for (const auto& [table, uses] : tables) CHECK(walk_bitmap_table(table.first, table.second, uses));
  return {};
}

// --- all of it ------------------------------------------------------------------------------------------------------

Result<void> Walk::everything_but_refcounts(const Census::Wanted& wanted) {
  count_.add({HostOffset(), layout_.cluster()}, 1, "header");
  CHECK(walk_l1(header_.l1_table, header_.l1_entries, 1, Owner::Active));
  CHECK(walk_snapshots(wanted.scope));
  CHECK(walk_l2_tables(wanted.progress));
  if (header_.crypto_header) count_.add(*header_.crypto_header, 1, "encryption header");
  return walk_bitmaps();
}

void Walk::count_refcount_block(std::uint64_t word, std::uint64_t index) {
  CheckReport& findings = census_.findings;
  const std::uint64_t at = word & ~kRefcountTableReserved;
  const std::uint64_t cluster = at / layout_.cluster().value();
  ++census_.refcount_faults;  // taken back when none is found
  if ((word & kRefcountTableReserved) != 0) {
    return findings.corruption("entry {} of the refcount table has reserved bits set", index);
  }
  if (at % layout_.cluster().value() != 0) {
    return findings.corruption("refcount block {} at {:#x} does not begin at a cluster", index, at);
  }
  if (cluster >= census_.clusters()) {
    return findings.corruption("refcount block {} at {:#x} lies beyond the end of the file", index, at);
  }
  count_.add({HostOffset(at), layout_.cluster()}, 1, "refcount block");
  const std::uint64_t references = census_.expected(cluster);
  if (references == 1) {
    --census_.refcount_faults;
  } else if (layout_.largest_refcount() > 1) {
    findings.corruption("refcount block {} at {:#x} lies in a cluster with {} references", index, at, references);
  }
}

// The table itself: in the file, and on nothing else.
bool Walk::refcount_table_is_readable() {
  if (const auto sane = check_refcount_table(header_); !sane) {
    ++census_.refcount_faults;
    census_.findings.corruption("{}", sane.error().text);
    return false;
  }
  const HostRange table{header_.refcount_table, layout_.cluster() * header_.refcount_table_clusters};
  bool alone = count_.add(table, 1, "refcount table");
  for (std::uint64_t n = 0; alone && n < header_.refcount_table_clusters; ++n) {
    alone = census_.expected(table.begin / layout_.cluster() + n) == 1;
  }
  if (!alone) ++census_.refcount_faults;
  return true;
}

Result<void> Walk::refcount_structure() {
  if (!refcount_table_is_readable()) return {};
  const ByteCount bytes = layout_.cluster() * header_.refcount_table_clusters;
  return each_word(header_.refcount_table, bytes.value() / 8,
                   [&](std::uint64_t index, std::uint64_t word) { count_refcount_block(word, index); });
}

}  // namespace

Census::Census(std::uint64_t clusters_of_file)
    : counts(clusters_of_file + 1), file_clusters(clusters_of_file), named_behind(4096 + clusters_of_file / 32) {}

bool Census::named_behind_file(std::uint64_t cluster) const {
  if (cluster < file_clusters) return false;
  return cluster - file_clusters >= named_behind.size() || named_behind[cluster - file_clusters];
}

void Census::note_naming(std::uint64_t cluster, Naming naming) {
  if (cluster < file_clusters) {
    counts.note(cluster, naming);
  } else {
    ++doubtful_flags;
  }
}

// A cluster is used for nothing but tables when the tables that touch it account for all of its references.
void Census::find_tables_alone(const Header& header) {
  const std::uint64_t size = header.cluster().value();
  const HostRange l1{header.l1_table, ByteCount(header.l1_entries) * 8};
  const auto references_by_tables = [&](std::uint64_t cluster) {
    const HostRange whole{HostOffset(cluster * size), header.cluster()};
    std::uint64_t references = l1.overlaps(whole) ? 1 : 0;
    const HostOffset before(cluster == 0 ? 0 : (cluster - 1) * size);
    auto table = std::lower_bound(l2_tables.begin(), l2_tables.end(), before,
                                  [](const L2Use& use, HostOffset at) { return use.at < at; });
    for (; table != l2_tables.end() && table->at < whole.end(); ++table) {
      if (whole.overlaps({table->at, header.cluster()})) references += table->all();
    }
    return references;
  };
  for (L2Use& table : l2_tables) {
    const std::uint64_t cluster = table.at.value() / size;
    table.alone = table.at.value() % size == 0 && expected(cluster) == references_by_tables(cluster);
  }
  l1_alone = true;
  for (std::uint64_t cluster = l1.begin.value() / size; l1_alone && cluster * size < l1.end().value(); ++cluster) {
    l1_alone = expected(cluster) == references_by_tables(cluster);
  }
}

Result<Census> Census::take(HostFile& file, const Header& header, const Wanted& wanted) {
  TRY(const ByteCount size, file.size());
  const std::uint64_t clusters = ceil_divide(size.value(), header.cluster().value());
  if (clusters > kMostClusters) {
    return fail(ErrorKind::Limit, "a file of {} clusters is too large to count them", clusters);
  }
  TRY(TableScan scan, TableScan::of(file));
  Census census(clusters);
  TRY(census.snapshots, read_snapshot_table(file, header, wanted.excess));
  RangeCount count(size, header.cluster(), census);
  Walk walk(file, header, census, count, std::move(scan));
  CHECK(walk.everything_but_refcounts(wanted));
  if (wanted.scope == Scope::Everything) CHECK(walk.refcount_structure());
  census.find_tables_alone(header);
  return census;
}

}  // namespace flatimg::qcow2
