// The table of internal snapshots (specification: "Snapshots", sheet section 7): reading it, and its bytes when a
// repair writes a new one.
#pragma once

#include <string>
#include <vector>

#include "base/range.h"
#include "base/result.h"
#include "host/host_file.h"

namespace flatimg::qcow2 {

struct Header;

/// Entries of version 3 say at least the size of the VM state in 64 bits and the size of the disk.
inline constexpr std::uint32_t kLeastExtraDataInVersion3 = 16;

struct Snapshot {
  HostOffset l1_table;  // not judged: may be misaligned or beyond the file
  std::uint32_t l1_entries = 0;
  std::string id;
  std::string name;
  std::uint32_t date_seconds = 0;
  std::uint32_t date_nanoseconds = 0;
  std::uint64_t vm_clock_nanoseconds = 0;
  ByteCount vm_state_size;
  ByteCount disk_size;                       // the size of the image where the entry does not say
  std::uint64_t icount = ~std::uint64_t{0};  // all ones: none
  std::uint32_t extra_data_size = 0;         // as the entry says
  std::vector<std::byte> extra_data;         // at most limits::kQcow2SnapshotExtraData bytes of it
  ByteCount at;                              // of the entry, from the table's first byte: a multiple of 8
  ByteCount length;                          // of the entry, without padding
};

struct SnapshotTable {
  std::vector<Snapshot> snapshots;
  ByteCount bytes;            // from the table's first byte to the end of the last name
  std::uint64_t dropped = 0;  // snapshots at the end that are beyond the limits
  std::uint64_t cut = 0;      // entries whose extra data is beyond the limit
};

/// What becomes of entries beyond the limits of QEMU.
enum class Excess {
  Refuse,
  Drop,  // as a repair does: the last snapshots, the end of extra data
};

/// Limit or CorruptImage when the table is beyond the limits. Memory is bounded by them (64 MiB).
Result<SnapshotTable> read_snapshot_table(HostFile& file, const Header& header, Excess excess = Excess::Refuse);

/// The table as it is recorded, every entry complete: with the sizes of VM state and disk in its extra data.
[[nodiscard]] std::vector<std::byte> snapshot_table_bytes(const std::vector<Snapshot>& snapshots);

}  // namespace flatimg::qcow2
