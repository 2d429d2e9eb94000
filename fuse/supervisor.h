// The process that keeps its rights: runs the worker's errands, passes signals on, and cleans up after it.
//
// Invariants:
//   1. One thread; no passphrase; no byte of an image is parsed. (Packed files are told apart by a sum over some of
//   their
//      bytes: unpack_errands.h.)
//   2. Whatever the worker does or dies of: the mount does not stay behind, and the exit code is 0 only when the worker
//      ended by itself with 0.
//   3. It never waits for the worker but inside an errand, which the worker's end ends.
#pragma once

#include <sys/types.h>

#include "fuse/errands.h"
#include "fuse/process.h"

namespace flatimg::flat {

/// Blocks the signals that the supervisor waits for. Call before the worker is forked, so that none is missed.
void hold_supervisor_signals();

/// Serves the worker until it has ended. The exit code.
int supervise(pid_t worker, Channel channel, MountPlan plan, Verdict verdict);

}  // namespace flatimg::flat
