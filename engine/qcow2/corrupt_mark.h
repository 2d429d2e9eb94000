// What becomes of an image that was open for writing when a contradiction was met in it: it is declared corrupt, once.
//
//   state    | a change    | a flush writes      | released, punched, cut off | next state
//   ---------+-------------+---------------------+----------------------------+---------------------------------------
//   sound    | is made     | what waits          | what was unlinked          | declare(): Declared
//   Declared | is ReadOnly | what waits, and the | nothing                    | the bit is on disk: Marked
//            |             | bit, tried again    |                            | (version 2 has none: stays)
//   Marked   | is ReadOnly | what waits          | nothing                    | flatimg check -r all, when unmounted
//
// Invariants:
//   1. What was acknowledged before is flushed as ever. A counter that contradicts itself is a reason to trust none of
//      them, so nobody's space is given back on its word: what would have been freed stays counted, as leaks.
//   2. The bit is one write to the first sector. Its order among other writes does not matter: with or without it the
//      tables say what they say.
//   3. An image that is open for reading only is never written, and never declared.
#pragma once

#include <atomic>
#include <optional>
#include <string>

#include "base/ranked_mutex.h"
#include "host/host_file.h"
#include "qcow2/header.h"

namespace flatimg::qcow2 {

class CorruptMark {
 public:
  explicit CorruptMark(HostFile& file) : file_(file) {}

  /// The first call counts: it says so in the log and writes the bit into the header. Any thread that holds no mutex of
  /// rank ImageState or above.
  void declare(const Header& header, const Error& contradiction) EXCLUDES(mutex_);

  /// ReadOnly once the image has been declared corrupt.
  [[nodiscard]] Result<void> allows_changes() const;
  [[nodiscard]] bool declared() const { return declared_.load(std::memory_order_acquire); }
  /// The contradiction; empty while there is none.
  [[nodiscard]] std::optional<std::string> reason() const EXCLUDES(mutex_);

  /// Writes the bit if that has failed before. A failure is logged: the image is read-only anyway.
  void write_if_due() EXCLUDES(mutex_);

 private:
  void write() REQUIRES(mutex_);

  HostFile& file_;
  std::atomic<bool> declared_{false};
  std::atomic<bool> due_{false};  // the bit is to be written
  mutable Mutex mutex_{Rank::ImageState};
  std::uint64_t bits_ GUARDED_BY(mutex_) = 0;
  std::string reason_ GUARDED_BY(mutex_);
};

}  // namespace flatimg::qcow2
