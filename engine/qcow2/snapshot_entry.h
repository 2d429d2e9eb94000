// Entries of the snapshot table: finding, judging and writing them (specification: "Snapshots", sheet section 7).
// Entries that are not concerned move along byte for byte.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "image/report.h"
#include "qcow2/snapshot_table.h"

namespace flatimg::qcow2 {

/// BadUsage for a name that nobody could name later, Limit when there are too many. Looks at the header only.
Result<void> check_new_snapshot(const Header& header, const SnapshotInfo& wanted);

/// Which entry is meant; NotFound names `file`. As qemu-img looks: an ID goes first when a snapshot is read or applied,
/// a name goes first when one is deleted.
Result<std::size_t> find_by_id_or_name(const SnapshotTable& table, std::string_view text, std::string_view file);
Result<std::size_t> find_by_name_or_id(const SnapshotTable& table, std::string_view text, std::string_view file);

/// The number behind the largest one.
[[nodiscard]] std::string next_snapshot_id(const SnapshotTable& table);

/// CorruptImage when the L1 table cannot be read as one.
Result<void> check_snapshot_l1(HostFile& file, const Header& header, const Snapshot& snapshot);
/// The same, and it covers the disk of the snapshot.
Result<void> check_snapshot_covers(HostFile& file, const Header& header, const Snapshot& snapshot);

struct NewEntry {
  SnapshotInfo info;  // name and date
  std::string id;
  HostOffset l1_table;
  std::uint32_t l1_entries = 0;
  ByteCount disk_size;
};
/// The bytes of the table with an entry more, or with one less.
Result<std::vector<std::byte>> with_entry(HostFile& file, const Header& header, const SnapshotTable& table,
                                          const NewEntry& entry);
Result<std::vector<std::byte>> without_entry(HostFile& file, const Header& header, const SnapshotTable& table,
                                             std::size_t nth);

}  // namespace flatimg::qcow2
