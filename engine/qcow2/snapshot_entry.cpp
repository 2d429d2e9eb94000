#include "qcow2/snapshot_entry.h"

#include <algorithm>
#include <charconv>

#include "base/endian.h"
#include "base/limits.h"
#include "base/text.h"
#include "qcow2/header.h"
#include "qcow2/layout.h"

namespace flatimg::qcow2 {

namespace {

constexpr std::uint32_t kExtraData = 24;
constexpr std::size_t kLongestName = 255;  // what QEMU keeps of a name

std::optional<std::size_t> position(const SnapshotTable& table, std::string Snapshot::*field, std::string_view text) {
  const auto found = std::ranges::find(table.snapshots, text, field);
  if (found == table.snapshots.end()) return std::nullopt;
  return static_cast<std::size_t>(found - table.snapshots.begin());
}

Result<std::size_t> found_or_not(std::optional<std::size_t> nth, std::string_view text, std::string_view file) {
  if (nth) return *nth;
  return fail(ErrorKind::NotFound, "{}: it has no snapshot {}: flatimg snapshot -l lists those that it has", file,
              shown(text));
}

std::uint64_t aligned(std::uint64_t bytes) { return (bytes + 7) / 8 * 8; }

Snapshot snapshot_of(const NewEntry& entry) {
  Snapshot snapshot;
  snapshot.l1_table = entry.l1_table;
  snapshot.l1_entries = entry.l1_entries;
  snapshot.id = entry.id;
  snapshot.name = entry.info.name;
  snapshot.date_seconds = entry.info.date_seconds;
  snapshot.date_nanoseconds = entry.info.date_nanoseconds;
  snapshot.disk_size = entry.disk_size;
  snapshot.extra_data.resize(kExtraData);
  store_be(std::span(snapshot.extra_data), 16, ~std::uint64_t{0});  // no count of instructions
  return snapshot;
}

// The table as it is, up to a multiple of eight bytes.
Result<std::vector<std::byte>> table_bytes(HostFile& file, const Header& header, const SnapshotTable& table) {
  std::vector<std::byte> bytes(aligned(table.bytes.value()));
  if (!bytes.empty()) CHECK(file.read(header.snapshot_table, bytes));
  return bytes;
}

}  // namespace

Result<void> check_new_snapshot(const Header& header, const SnapshotInfo& wanted) {
  if (wanted.name.empty()) return fail(ErrorKind::BadUsage, "a snapshot needs a name");
  if (wanted.name.size() > kLongestName) {
    return fail(ErrorKind::BadUsage, "the name of the snapshot has {} bytes, and {} are possible", wanted.name.size(),
                kLongestName);
  }
  if (header.snapshots < limits::kQcow2Snapshots) return {};
  return fail(ErrorKind::Limit, "there are {} snapshots already, and more are not possible", header.snapshots);
}

Result<std::size_t> find_by_id_or_name(const SnapshotTable& table, std::string_view text, std::string_view file) {
  auto nth = position(table, &Snapshot::id, text);
  if (!nth) nth = position(table, &Snapshot::name, text);
  return found_or_not(nth, text, file);
}

Result<std::size_t> find_by_name_or_id(const SnapshotTable& table, std::string_view text, std::string_view file) {
  auto nth = position(table, &Snapshot::name, text);
  if (!nth) nth = position(table, &Snapshot::id, text);
  return found_or_not(nth, text, file);
}

std::string next_snapshot_id(const SnapshotTable& table) {
  std::uint64_t largest = 0;
  for (const Snapshot& snapshot : table.snapshots) {
    std::uint64_t number = 0;
    (void)std::from_chars(snapshot.id.data(), snapshot.id.data() + snapshot.id.size(), number);
    if (number != ~std::uint64_t{0}) largest = std::max(largest, number);
  }
  return std::to_string(largest + 1);
}

Result<void> check_snapshot_l1(HostFile& file, const Header& header, const Snapshot& snapshot) {
  const ByteCount bytes = ByteCount(snapshot.l1_entries) * 8;
  TRY(const ByteCount size, file.size());
  const bool sane =
      bytes <= limits::kQcow2L1Table && (snapshot.l1_table % header.cluster()).is_zero() &&
      snapshot.l1_table.value() <= limits::kQcow2HostOffset &&
      (bytes.is_zero() || (snapshot.l1_table.value() >= header.cluster().value() &&
                           snapshot.l1_table.value() + bytes.value() <= align_up(size, header.cluster()).value()));
  if (sane) return {};
  return fail(ErrorKind::CorruptImage, "{}: the L1 table of snapshot {} has an impossible place or length", file.name(),
              shown(snapshot.id));
}

Result<void> check_snapshot_covers(HostFile& file, const Header& header, const Snapshot& snapshot) {
  CHECK(check_snapshot_l1(file, header, snapshot));
  if (Layout(header).l1_entries_for(snapshot.disk_size) <= snapshot.l1_entries) return {};
  return fail(ErrorKind::CorruptImage, "{}: the L1 table of snapshot {} is too short for its disk of {} bytes",
              file.name(), shown(snapshot.id), snapshot.disk_size.value());
}

Result<std::vector<std::byte>> with_entry(HostFile& file, const Header& header, const SnapshotTable& table,
                                          const NewEntry& entry) {
  TRY(std::vector<std::byte> bytes, table_bytes(file, header, table));
  const std::vector<std::byte> last = snapshot_table_bytes({snapshot_of(entry)});
  bytes.insert(bytes.end(), last.begin(), last.end());
  bytes.resize(aligned(bytes.size()));
  if (ByteCount(bytes.size()) <= limits::kQcow2SnapshotTable) return bytes;
  return fail(ErrorKind::Limit, "{}: the snapshot table cannot grow further", file.name());
}

Result<std::vector<std::byte>> without_entry(HostFile& file, const Header& header, const SnapshotTable& table,
                                             std::size_t nth) {
  TRY(std::vector<std::byte> bytes, table_bytes(file, header, table));
  const Snapshot& gone = table.snapshots[nth];
  const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(gone.at.value());
  bytes.erase(begin, begin + static_cast<std::ptrdiff_t>(aligned(gone.length.value())));
  return bytes;
}

}  // namespace flatimg::qcow2
