// Qcow2Image: internal snapshots, taken, applied and deleted (sheet section 7). The whole disk is held in Change; how
// the tables change over is told in table_switch.h.
//
//   operation | the active disk gets              | the snapshot table | counters
//   ----------+-----------------------------------+--------------------+------------------------------------------------
//   create    | copies of its L2 tables, without  | one entry more,    | what the tables name: +1
//             | COPIED; a new L1 table            | with the old L1    |
//   apply     | copies of the snapshot's L2       | as it was          | what the snapshot names: +1, what the disk
//             | tables, its size                  |                    | named: -1
//   delete    | COPIED where it is alone now      | one entry less     | what the snapshot named: -1
//
// L1 tables move along as a whole: what lies behind the end of the disk is the state of a virtual machine.
#include "base/text.h"
#include "qcow2/snapshot_entry.h"
#include "qcow2/table_switch.h"

namespace flatimg::qcow2 {

namespace {

std::uint64_t tables_in(const L1Words& words) {
  std::uint64_t tables = 0;
  for (const std::uint64_t word : words)
    if ((word & kOffsetMask) != 0) ++tables;
  return tables;
}

}  // namespace

Result<void> Qcow2Image::begin_snapshot_change() {
  if (!traits_.writable) return fail(ErrorKind::Denied, "{}: the image is read-only", file_->name());
  if (data_file_) {
    return fail(ErrorKind::Unsupported, "{}: an image with an external data file has no snapshots", file_->name());
  }
  return begin_writing();
}

// An L1 table that a snapshot names is judged as the active one is when the image is opened.
Result<L1Words> Qcow2Image::snapshot_words(const Snapshot& snapshot) const {
  CHECK(check_snapshot_l1(*file_, header_, snapshot));
  ResidentTable table;
  CHECK(table.read(*file_, snapshot.l1_table, snapshot.l1_entries));
  return table.words();
}

ClusterRun Qcow2Image::clusters_of_words(HostOffset at, std::uint64_t words) const {
  return {cluster_number(at), clusters_for_words(words)};
}

Result<void> Qcow2Image::drop_snapshot_table(TableSwitch& work, const SnapshotTable& table) {
  if (table.snapshots.empty()) return {};
  return work.drop(clusters_of_words(header_.snapshot_table, (table.bytes.value() + 7) / 8));
}

Result<void> Qcow2Image::take_snapshot(const SnapshotInfo& wanted) {
  CHECK(check_new_snapshot(header_, wanted));
  CHECK(begin_snapshot_change());
  TRY(const SnapshotTable table, read_snapshot_table(*file_, header_));
  NewEntry entry{wanted, next_snapshot_id(table), header_.l1_table, header_.l1_entries, size()};
  TRY(auto bytes, with_entry(*file_, header_, table, entry));
  L1Words words = l1_.words();
  TRY(const auto work, TableSwitch::prepare(*this, {tables_in(words), words.size(), ByteCount(bytes.size())}));
  CHECK(work->copy_tables(words));
  CHECK(drop_snapshot_table(*work, table));
  const auto count = static_cast<std::uint32_t>(table.snapshots.size() + 1);
  return work->commit(words, {size(), count, std::move(bytes)});
}

Result<void> Qcow2Image::go_back_to(std::string_view id_or_name) {
  CHECK(begin_snapshot_change());
  TRY(const SnapshotTable table, read_snapshot_table(*file_, header_));
  TRY(const std::size_t nth, find_by_id_or_name(table, id_or_name, file_->name()));
  const Snapshot& snapshot = table.snapshots[nth];
  const ByteCount size = align_down(snapshot.disk_size, ByteCount(512));
  CHECK(check_snapshot_covers(*file_, header_, snapshot));
  TRY(L1Words words, snapshot_words(snapshot));
  const L1Words before = l1_.words();
  const std::uint64_t tables = tables_in(words);
  TRY(const auto work, TableSwitch::prepare(*this, {tables, words.size(), ByteCount(0)}));
  CHECK(
      work->drop_tables(before));  // first, so that narrow counters have room; the snapshot keeps what it names above 0
  CHECK(work->copy_tables(words));
  CHECK(work->drop(clusters_of_words(header_.l1_table, header_.l1_entries)));
  return work->commit(words, {size, header_.snapshots, {}});
}

Result<void> Qcow2Image::drop_snapshot(std::string_view name_or_id) {
  CHECK(begin_snapshot_change());
  TRY(const SnapshotTable table, read_snapshot_table(*file_, header_));
  TRY(const std::size_t nth, find_by_name_or_id(table, name_or_id, file_->name()));
  const Snapshot& snapshot = table.snapshots[nth];
  TRY(auto bytes, without_entry(*file_, header_, table, nth));
  TRY(const L1Words lost, snapshot_words(snapshot));
  L1Words words = l1_.words();
  const TableSwitch::Need need{tables_in(words), words.size(), ByteCount(bytes.size())};
  TRY(const auto work, TableSwitch::prepare(*this, need));
  CHECK(work->drop_tables(lost));
  CHECK(work->drop(clusters_of_words(snapshot.l1_table, snapshot.l1_entries)));
  CHECK(drop_snapshot_table(*work, table));
  CHECK(work->drop(clusters_of_words(header_.l1_table, header_.l1_entries)));
  CHECK(work->renew_copied(words));
  const auto count = static_cast<std::uint32_t>(table.snapshots.size() - 1);
  return work->commit(words, {size(), count, std::move(bytes)});
}

}  // namespace flatimg::qcow2
