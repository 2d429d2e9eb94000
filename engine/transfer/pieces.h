// A walk over a disk in pieces, by several threads.
#pragma once

#include <functional>
#include <optional>

#include "base/progress.h"
#include "base/range.h"
#include "base/result.h"

namespace flatimg::transfer {

/// What is read or written at once.
inline constexpr ByteCount kPiece{1u << 20};

struct Walk {
  /// The next range from `from` on that needs work; nullopt when none does. One call at a time.
  std::function<Result<std::optional<GuestRange>>(GuestOffset from)> next;
  /// Any thread, several at once.
  std::function<Result<void>(GuestRange)> work;
  unsigned threads = 0;  // 0: as many as there are processors
};

/// Tells the progress in bytes of the disk. Returns when all is done, or with the first error; then what had begun has
/// ended.
Result<void> walk(const Walk& walk, ByteCount size, const Progress& progress);

/// From `at` to the next border of pieces; `piece` is what a border is a multiple of.
[[nodiscard]] GuestRange piece_from(GuestOffset at, ByteCount size, ByteCount piece = kPiece);

}  // namespace flatimg::transfer
