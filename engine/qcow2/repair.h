// Repairs an image: what check found, as far as it can be put right without losing a byte that can still be read.
//
// The steps, and why a crash between any two host writes leaves an image that is not worse than before and can be
// repaired again:
//
//   1. Zero clusters that reserve a misplaced cluster become plain zero clusters. They read the same before and after;
//      what they seemed to reserve loses a reference before any counter falls (O3).
//   2. The refcounts. Either all of them anew, with one switch of the header (rebuild.h) - when they cannot be trusted
//   -
//      or the wrong ones where they are: each moves from a wrong number to the right one, independently of all others.
//   3. Barrier; then COPIED flags, which say what the counters say (a flag is set only when the count of 1 is on disk).
//   4. Barrier; a fresh look at everything; if it is clean, the dirty and the corrupt bit.
//
// Invariants:
//   1. Guest data is never written. Tables are written only where their clusters are used for nothing but tables.
//   2. A lost table (an L1 or L2 table that cannot be read) keeps the counters of what it may name: nothing is freed.
//   3. Errors leave the image as the step had it: run the repair again.
#pragma once

#include "base/progress.h"
#include "base/result.h"
#include "image/report.h"

namespace flatimg {
class HostFile;
}

namespace flatimg::qcow2 {

/// Needs a writable file that nobody else has open. CorruptImage when the refcounts would have to be made anew, which
/// RepairScope::Leaks does not do; Limit when there is no room for new refcounts.
Result<RepairReport> repair(HostFile& file, RepairScope scope, const Progress& progress = {});

}  // namespace flatimg::qcow2
