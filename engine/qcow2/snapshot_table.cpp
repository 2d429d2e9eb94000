#include "qcow2/snapshot_table.h"

#include <algorithm>

#include "base/endian.h"
#include "base/limits.h"
#include "qcow2/forward_reader.h"
#include "qcow2/header.h"

namespace flatimg::qcow2 {

namespace {

constexpr std::size_t kEntryHead = 40;
constexpr std::size_t kWithVmStateSize = 8;
constexpr std::size_t kWithDiskSize = 16;
constexpr std::size_t kWithIcount = 24;

Result<std::string> read_text(ForwardReader& reader, std::size_t bytes) {
  TRY(const auto text, reader.next(bytes));
  return std::string(reinterpret_cast<const char*>(text.data()), text.size());
}

Result<void> read_extra_data(ForwardReader& reader, Snapshot& snapshot) {
  const std::uint32_t kept = std::min(snapshot.extra_data_size, limits::kQcow2SnapshotExtraData);
  TRY(const auto extra, reader.next(kept));
  snapshot.extra_data.assign(extra.begin(), extra.end());
  if (extra.size() >= kWithVmStateSize) snapshot.vm_state_size = ByteCount(load_be<std::uint64_t>(extra, 0));
  if (extra.size() >= kWithDiskSize) snapshot.disk_size = ByteCount(load_be<std::uint64_t>(extra, 8));
  if (extra.size() >= kWithIcount) snapshot.icount = load_be<std::uint64_t>(extra, 16);
  reader.skip(snapshot.extra_data_size - kept);
  return {};
}

Snapshot parse_head(std::span<const std::byte> head, const Header& header) {
  Snapshot snapshot;
  snapshot.l1_table = HostOffset(load_be<std::uint64_t>(head, 0));
  snapshot.l1_entries = load_be<std::uint32_t>(head, 8);
  snapshot.date_seconds = load_be<std::uint32_t>(head, 16);
  snapshot.date_nanoseconds = load_be<std::uint32_t>(head, 20);
  snapshot.vm_clock_nanoseconds = load_be<std::uint64_t>(head, 24);
  snapshot.vm_state_size = ByteCount(load_be<std::uint32_t>(head, 32));
  snapshot.extra_data_size = load_be<std::uint32_t>(head, 36);
  snapshot.disk_size = header.size;
  return snapshot;
}

bool has_too_much_extra_data(const Snapshot& snapshot) {
  return snapshot.extra_data_size > limits::kQcow2SnapshotExtraData;
}

Result<Snapshot> read_snapshot(ForwardReader& reader, const Header& header, Excess excess) {
  const ByteCount begin = reader.taken();
  TRY(const auto head, reader.next(kEntryHead));
  Snapshot snapshot = parse_head(head, header);
  snapshot.at = begin;
  const std::size_t id_length = load_be<std::uint16_t>(head, 12);
  const std::size_t name_length = load_be<std::uint16_t>(head, 14);
  if (excess == Excess::Refuse && has_too_much_extra_data(snapshot)) {
    return fail(ErrorKind::CorruptImage,
                "a snapshot table entry has {} bytes of extra data, more than {}: drop them with flatimg check -r all",
                snapshot.extra_data_size, limits::kQcow2SnapshotExtraData);
  }
  CHECK(read_extra_data(reader, snapshot));
  TRY(snapshot.id, read_text(reader, id_length));
  TRY(snapshot.name, read_text(reader, name_length));
  snapshot.length = reader.taken() - begin;
  return snapshot;
}

Failure too_many(const Header& header) {
  return fail(ErrorKind::Limit, "{} snapshots are too many: drop the last ones with flatimg check -r all",
              header.snapshots);
}

Failure too_large() {
  return fail(ErrorKind::CorruptImage,
              "the snapshot table is larger than {} bytes: drop its last snapshots with flatimg check -r all",
              limits::kQcow2SnapshotTable.value());
}

}  // namespace

Result<SnapshotTable> read_snapshot_table(HostFile& file, const Header& header, Excess excess) {
  SnapshotTable table;
  if (header.snapshots > limits::kQcow2Snapshots && excess == Excess::Refuse) return too_many(header);
  const std::uint32_t wanted = std::min(header.snapshots, limits::kQcow2Snapshots);
  ForwardReader reader(file, header.snapshot_table);
  while (table.snapshots.size() < wanted) {
    reader.align(8);
    TRY(Snapshot snapshot, read_snapshot(reader, header, excess));
    if (reader.taken() > limits::kQcow2SnapshotTable) {
      if (excess == Excess::Refuse) return too_large();
      break;
    }
    if (has_too_much_extra_data(snapshot)) ++table.cut;
    table.snapshots.push_back(std::move(snapshot));
    table.bytes = reader.taken();
  }
  table.dropped = header.snapshots - table.snapshots.size();
  return table;
}

// --- writing --------------------------------------------------------------------------------------------------------

namespace {

void append_snapshot(std::vector<std::byte>& table, const Snapshot& snapshot) {
  const std::size_t extra = std::max(snapshot.extra_data.size(), kWithDiskSize);
  const std::size_t at = (table.size() + 7) / 8 * 8;
  table.resize(at + kEntryHead + extra);
  const auto entry = std::span(table).subspan(at);
  const std::uint64_t vm_state = snapshot.vm_state_size.value();
  store_be(entry, 0, snapshot.l1_table.value());
  store_be(entry, 8, snapshot.l1_entries);
  store_be(entry, 12, static_cast<std::uint16_t>(snapshot.id.size()));
  store_be(entry, 14, static_cast<std::uint16_t>(snapshot.name.size()));
  store_be(entry, 16, snapshot.date_seconds);
  store_be(entry, 20, snapshot.date_nanoseconds);
  store_be(entry, 24, snapshot.vm_clock_nanoseconds);
  store_be(entry, 32, vm_state > 0xffffffff ? std::uint32_t{0} : static_cast<std::uint32_t>(vm_state));
  store_be(entry, 36, static_cast<std::uint32_t>(extra));
  std::copy(snapshot.extra_data.begin(), snapshot.extra_data.end(), entry.begin() + kEntryHead);
  store_be(entry, kEntryHead, vm_state);
  store_be(entry, kEntryHead + 8, snapshot.disk_size.value());
  for (const std::string* text : {&snapshot.id, &snapshot.name}) {
    const auto bytes = std::as_bytes(std::span(*text));
    table.insert(table.end(), bytes.begin(), bytes.end());
  }
}

}  // namespace

std::vector<std::byte> snapshot_table_bytes(const std::vector<Snapshot>& snapshots) {
  std::vector<std::byte> table;
  for (const Snapshot& snapshot : snapshots) append_snapshot(table, snapshot);
  return table;
}

}  // namespace flatimg::qcow2
