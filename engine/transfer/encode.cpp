#include "transfer/encode.h"

#include <algorithm>

#include "transfer/in_order.h"
#include "transfer/pieces.h"

namespace flatimg::transfer {

namespace {

constexpr ByteCount kLongestHole = 1_GiB;  // as one part: what is made of it is kept in memory for a moment
constexpr std::size_t kMostWaiting = 32;

class Encoding {
 public:
  Encoding(Disk& from, ImageWriter& to)
      : from_(from), to_(to), piece_(align_up(kPiece, to.unit())), hole_(align_up(kLongestHole, to.unit())) {}

  /// Everything, piece by piece: data up to the next border of pieces, a hole as far as it reaches in whole units.
  Result<std::optional<GuestRange>> next(GuestOffset at) {
    const GuestOffset end = GuestOffset(0) + from_.size();
    if (at >= end) return std::nullopt;
    TRY(const auto data, from_.next_data(at));
    const GuestOffset hole_end = data ? align_down(*data, to_.unit()) : end;
    if (hole_end > at) return GuestRange::between(at, std::min(hole_end, at + hole_));
    TRY(const GuestOffset data_end, from_.next_hole(*data));
    const GuestRange piece = piece_from(at, from_.size(), piece_);
    return GuestRange::between(at, std::min({piece.end(), align_up(data_end, to_.unit()), end}));
  }

  Result<void> work(GuestRange range) {
    auto done = encode(range);
    if (!done) in_order_.abandon();
    return done;
  }

 private:
  Result<void> encode(GuestRange range) {
    TRY(const auto data, from_.next_data(range.begin));
    const bool is_hole = !data || *data >= range.end();
    TRY(auto append, is_hole ? to_.encode_hole(range) : encode_data(range));
    return in_order_.put(range, std::move(append));
  }

  Result<ImageWriter::Append> encode_data(GuestRange range) {
    thread_local AlignedBuffer buffer;
    const auto bytes = buffer.at_least(range.length.value());
    CHECK(from_.read(range.begin, bytes));
    return to_.encode(range, bytes);
  }

  Disk& from_;
  ImageWriter& to_;
  const ByteCount piece_;
  const ByteCount hole_;
  InOrder in_order_{kMostWaiting};
};

}  // namespace

Result<void> encode(Disk& from, ImageWriter& to, unsigned threads, const Progress& progress) {
  Encoding encoding(from, to);
  Walk over;
  over.next = [&](GuestOffset at) { return encoding.next(at); };
  over.work = [&](GuestRange range) { return encoding.work(range); };
  over.threads = threads;
  CHECK(walk(over, from.size(), progress));
  return to.finish();
}

}  // namespace flatimg::transfer
