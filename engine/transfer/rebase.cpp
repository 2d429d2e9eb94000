#include "transfer/rebase.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/zeroes.h"
#include "transfer/whole_read.h"

namespace flatimg::transfer {

namespace {

class Rebase {
 public:
  Rebase(Disk& overlay, Disk* new_base) : overlay_(overlay), new_base_(new_base) {}

  Result<std::optional<GuestRange>> next(GuestOffset from) {
    TRY(const auto at, next_data_in_either(&overlay_, new_base_, from));
    if (!at || at->value() >= overlay_.size().value()) return std::nullopt;
    const ByteCount piece = std::max(kPiece, granule());
    return piece_from(align_down(*at, granule()), overlay_.size(), piece);
  }

  // The range begins and ends at granules, or at the end of the disk; so do the parts that the overlay does not hold.
  Result<void> work(GuestRange range) {
    GuestOffset begin = range.begin;
    while (!range.empty()) {
      TRY(const Disk::Resolved piece, overlay_.resolve(range, Look::Data));
      range = range.without_first(piece.extent.where.length);
      if (piece.depth > 0 && !range.empty()) continue;
      const GuestOffset end = piece.depth > 0 ? range.begin : piece.extent.where.begin;
      CHECK(keep_what_differs(GuestRange::between(begin, end)));
      begin = range.begin;
    }
    return {};
  }

 private:
  [[nodiscard]] ByteCount granule() const { return overlay_.traits().granule; }

  Result<void> keep_what_differs(GuestRange range) {
    if (range.empty()) return {};
    thread_local std::array<AlignedBuffer, 2> buffers;
    const std::size_t length = range.length.value();
    const auto shown = buffers[0].at_least(length).first(length);
    const auto future = buffers[1].at_least(length).first(length);
    CHECK(overlay_.read(range.begin, shown));
    CHECK(whole_read(new_base_, range.begin, future));
    std::size_t begin = 0;  // of a run of granules that differ
    for (std::size_t at = 0; at < length;) {
      const std::size_t end = std::min<std::size_t>(length, at + granule().value());
      const bool same = std::memcmp(shown.data() + at, future.data() + at, end - at) == 0;
      if (same) {
        CHECK(keep(range.begin + ByteCount(begin), shown.subspan(begin, at - begin)));
        begin = end;
      }
      at = end;
    }
    return keep(range.begin + ByteCount(begin), shown.subspan(begin));
  }

  Result<void> keep(GuestOffset at, std::span<const std::byte> bytes) {
    if (bytes.empty()) return {};
    if (is_all_zero(bytes)) return overlay_.zero({at, ByteCount(bytes.size())}, Space::Release);
    return overlay_.write(at, bytes);
  }

  Disk& overlay_;
  Disk* new_base_;
};

}  // namespace

Result<void> rebase(Disk& overlay, Disk* new_base, const Progress& progress) {
  Rebase rebase(overlay, new_base);
  Walk over;
  over.next = [&](GuestOffset from) { return rebase.next(from); };
  over.work = [&](GuestRange range) { return rebase.work(range); };
  CHECK(walk(over, overlay.size(), progress));
  return overlay.flush();
}

}  // namespace flatimg::transfer
