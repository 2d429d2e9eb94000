// Who holds a lock on a file, as far as /proc tells: for messages, never for decisions.
//
// Reads /proc/locks and /proc/PID/fdinfo only; it follows no link of /proc/PID/fd, because the
// file behind one may be on a dead server, or on our own mount.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/range.h"

namespace flatimg {

/// Which of the two worlds of locks, which do not see each other.
enum class LockWorld { Flock, Bytes };

struct LockHolder {
  int process = 0;
  std::string command;  // as the kernel knows it, unescaped
  bool is_this_process = false;
};

/// A process with a lock of that world on the file behind `fd`; of byte locks one that covers the byte `at`. Another
/// process rather than this one. `fd` itself must hold no lock. nullopt when /proc does not tell.
[[nodiscard]] std::optional<LockHolder> find_lock_holder(int fd, LockWorld world, HostOffset at);

/// From now on find_lock_holder() asks this: for a process that may not look into /proc itself. Call before threads
/// start.
using LockHolderSource = std::function<std::optional<LockHolder>(int fd, LockWorld world, HostOffset at)>;
void ask_for_lock_holders(LockHolderSource source);

}  // namespace flatimg
