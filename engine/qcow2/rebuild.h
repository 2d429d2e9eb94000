// New refcounts for an image whose old ones cannot be trusted (the dirty bit): counted from the tables, never from the
// old refcounts.
//
// Invariants:
//   1. Nothing that exists is overwritten: the new blocks and the new table lie behind everything that is used. The old
//      ones become free clusters.
//   2. Order (O4): blocks and table, barrier, the header's pointer to them, barrier, the dirty bit, barrier. A crash in
//      between leaves an image that is still dirty.
//   3. Memory: one block at a time, beside the census.
#pragma once

#include "host/host_file.h"
#include "qcow2/header.h"

namespace flatimg::qcow2 {

/// Rebuilds the refcounts and clears the dirty bit, in the file and in `header`. CorruptImage, with nothing but unused
/// space behind the end of the file written, when the tables contradict themselves.
Result<void> rebuild_refcounts(HostFile& file, Header& header);

}  // namespace flatimg::qcow2
