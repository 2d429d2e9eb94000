// New refcounts for an image whose old ones cannot be trusted: counted from the tables, never from the old refcounts.
// A new snapshot table can come with them.
//
// Invariants:
//   1. Nothing that exists is overwritten, and nothing is put where anything points to, not even a damaged entry: the
//      new structure lies behind the end of the file (on a block device: behind what is referenced), in a gap that
//      nothing names. The old structure becomes free clusters.
//   2. Order (O4): blocks and tables, barrier, the header's pointers to them, barrier. All pointers lie in the first
//      sector and are written at once: a crash leaves the old structure or the new one.
//   3. Memory: one block at a time, beside the census.
#pragma once

#include <optional>

#include "host/host_file.h"
#include "qcow2/header.h"

namespace flatimg::qcow2 {

class Census;
struct Snapshot;

/// Rebuilds the refcounts of an image with the dirty bit and clears the bit, in the file and in `header`. CorruptImage,
/// with nothing but unused space behind the end of the file written, when the tables contradict themselves.
Result<void> rebuild_refcounts(HostFile& file, Header& header);

/// Rebuilds the refcounts of a damaged image: what is lost of it cannot be counted, everything else is. Wider counters
/// when the old ones cannot hold a count (not in version 2: there they stay at their maximum). `found` is the census of
/// everything. `header` follows.
Result<void> rebuild_damaged(HostFile& file, Header& header, const Census& found);

}  // namespace flatimg::qcow2
