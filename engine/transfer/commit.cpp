#include "transfer/commit.h"

#include <algorithm>

namespace flatimg::transfer {

namespace {

constexpr ByteCount kMostZeroes{1u << 30};  // made at once

// Nothing was ever written there: the disk below shows.
bool shows_below(const Extent& extent) {
  const auto* zeroes = std::get_if<Zeroes>(&extent.source);
  return zeroes != nullptr && !zeroes->recorded;
}
bool is_zero(const Extent& extent) { return std::holds_alternative<Zeroes>(extent.source); }

Result<std::optional<GuestRange>> next_held(Disk& overlay, GuestOffset from) {
  GuestRange left = GuestRange::between(from, GuestOffset(0) + overlay.size());
  while (!left.empty()) {
    TRY(const Disk::Resolved piece, overlay.resolve(left, Look::Data));
    const GuestRange where = piece.extent.where;
    if (shows_below(piece.extent)) {
      left = left.without_first(where.length);
      continue;
    }
    return is_zero(piece.extent) ? where.first(kMostZeroes) : piece_from(where.begin, overlay.size());
  }
  return std::nullopt;
}

Result<void> copy_held(Disk& overlay, Disk& base, GuestRange range) {
  thread_local AlignedBuffer buffer;
  while (!range.empty()) {
    TRY(const Disk::Resolved piece, overlay.resolve(range, Look::Data));
    const GuestRange where = piece.extent.where;
    if (is_zero(piece.extent)) {
      if (!shows_below(piece.extent)) CHECK(base.zero(where, Space::Release));
    } else {
      const auto bytes = buffer.at_least(where.length.value()).first(where.length.value());
      CHECK(overlay.read(where.begin, bytes));
      CHECK(base.write(where.begin, bytes));
    }
    range = range.without_first(where.length);
  }
  return {};
}

}  // namespace

Result<void> commit(Disk& overlay, Disk& base, const Progress& progress) {
  if (base.size() < overlay.size()) CHECK(base.resize(overlay.size()));
  Walk over;
  over.next = [&](GuestOffset from) { return next_held(overlay, from); };
  over.work = [&](GuestRange range) { return copy_held(overlay, base, range); };
  CHECK(walk(over, overlay.size(), progress));
  return base.flush();
}

}  // namespace flatimg::transfer
