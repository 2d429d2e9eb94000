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
  TRY(const auto extra, reader.next(snapshot.extra_data_size));
  if (extra.size() >= kWithVmStateSize) snapshot.vm_state_size = ByteCount(load_be<std::uint64_t>(extra, 0));
  if (extra.size() >= kWithDiskSize) snapshot.disk_size = ByteCount(load_be<std::uint64_t>(extra, 8));
  if (extra.size() >= kWithIcount) snapshot.icount = load_be<std::uint64_t>(extra, 16);
  return {};
}

Result<Snapshot> read_snapshot(ForwardReader& reader, const Header& header) {
  TRY(const auto head, reader.next(kEntryHead));
  Snapshot snapshot;
  snapshot.l1_table = HostOffset(load_be<std::uint64_t>(head, 0));
  snapshot.l1_entries = load_be<std::uint32_t>(head, 8);
  const std::size_t id_length = load_be<std::uint16_t>(head, 12);
  const std::size_t name_length = load_be<std::uint16_t>(head, 14);
  snapshot.date_seconds = load_be<std::uint32_t>(head, 16);
  snapshot.date_nanoseconds = load_be<std::uint32_t>(head, 20);
  snapshot.vm_clock_nanoseconds = load_be<std::uint64_t>(head, 24);
  snapshot.vm_state_size = ByteCount(load_be<std::uint32_t>(head, 32));
  snapshot.extra_data_size = load_be<std::uint32_t>(head, 36);
  snapshot.disk_size = header.size;
  if (snapshot.extra_data_size > limits::kQcow2SnapshotExtraData) {
    return fail(ErrorKind::CorruptImage, "a snapshot table entry has {} bytes of extra data, more than {}",
                snapshot.extra_data_size, limits::kQcow2SnapshotExtraData);
  }
  CHECK(read_extra_data(reader, snapshot));
  TRY(snapshot.id, read_text(reader, id_length));
  TRY(snapshot.name, read_text(reader, name_length));
  return snapshot;
}

}  // namespace

Result<SnapshotTable> read_snapshot_table(HostFile& file, const Header& header) {
  SnapshotTable table;
  if (header.snapshots > limits::kQcow2Snapshots) {
    return fail(ErrorKind::Limit, "{} snapshots are too many", header.snapshots);
  }
  ForwardReader reader(file, header.snapshot_table);
  for (std::uint32_t i = 0; i < header.snapshots; ++i) {
    reader.align(8);
    TRY(Snapshot snapshot, read_snapshot(reader, header));
    if (reader.taken() > limits::kQcow2SnapshotTable) {
      return fail(ErrorKind::CorruptImage, "the snapshot table is larger than {} bytes",
                  limits::kQcow2SnapshotTable.value());
    }
    table.snapshots.push_back(std::move(snapshot));
  }
  table.bytes = reader.taken();
  return table;
}

}  // namespace flatimg::qcow2
