// The table of internal snapshots (specification: "Snapshots", sheet section 7). Read only.
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
  std::uint32_t extra_data_size = 0;
};

struct SnapshotTable {
  std::vector<Snapshot> snapshots;
  ByteCount bytes;  // from the table's first byte to the end of the last name
};

/// CorruptImage when an entry is absurd or the table too large. Memory is bounded by the table's bytes (64 MiB).
Result<SnapshotTable> read_snapshot_table(HostFile& file, const Header& header);

}  // namespace flatimg::qcow2
