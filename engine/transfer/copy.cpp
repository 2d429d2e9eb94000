#include "transfer/copy.h"

#include <algorithm>

#include "base/zeroes.h"

namespace flatimg::transfer {

namespace {

constexpr ByteCount kLeastHole{4096};

class Copy {
 public:
  Copy(Disk& from, Disk& to) : from_(from), to_(to), granule_(std::max(kLeastHole, to.traits().granule)) {}

  Result<std::optional<GuestRange>> next(GuestOffset at) {
    if (at >= GuestOffset(0) + from_.size()) return std::nullopt;
    TRY(const auto data, from_.next_data(at));
    if (!data) return std::nullopt;
    return piece_from(*data, from_.size());
  }

  Result<void> piece(GuestRange range) {
    thread_local AlignedBuffer buffer;
    const auto bytes = buffer.at_least(range.length.value()).first(range.length.value());
    CHECK(from_.read(range.begin, bytes));
    for (GuestRange left = range; !left.empty();) {
      const GuestRange hole = run_of(Run::Zeroes, left, bytes.last(left.length.value()), granule_);
      left = left.without_first(hole.length);
      const GuestRange data = run_of(Run::Data, left, bytes.last(left.length.value()), granule_);
      CHECK(write_trimmed(data, bytes.last(left.length.value()).first(data.length.value())));
      left = left.without_first(data.length);
    }
    return {};
  }

 private:
  enum class Run { Zeroes, Data };
  // How much of the beginning is that, in whole units.
  static GuestRange run_of(Run run, GuestRange range, std::span<const std::byte> bytes, ByteCount unit) {
    std::uint64_t length = 0;
    while (length < bytes.size()) {
      const GuestOffset at = range.begin + ByteCount(length);
      const std::uint64_t here = std::min((align_down(at, unit) + unit - at).value(), bytes.size() - length);
      if (is_all_zero(bytes.subspan(length, here)) != (run == Run::Zeroes)) break;
      length += here;
    }
    return range.first(ByteCount(length));
  }

  // The zeroes at both ends are what the target shows around it anyway.
  Result<void> write_trimmed(GuestRange range, std::span<const std::byte> bytes) {
    const ByteCount before = run_of(Run::Zeroes, range, bytes, kLeastHole).length;
    std::uint64_t end = bytes.size();
    while (end > before.value() + kLeastHole.value() &&
           is_all_zero(bytes.subspan(end - kLeastHole.value(), kLeastHole.value()))) {
      end -= kLeastHole.value();
    }
    return to_.write(range.begin + before, bytes.subspan(before.value(), end - before.value()));
  }

  Disk& from_;
  Disk& to_;
  const ByteCount granule_;
};

}  // namespace

Result<void> copy(Disk& from, Disk& to, Target before, unsigned threads, const Progress& progress) {
  const GuestRange everything{GuestOffset(0), from.size()};
  if (before == Target::Anything) CHECK(to.zero(everything, Space::Release));
  Copy work(from, to);
  Walk over;
  over.next = [&](GuestOffset at) { return work.next(at); };
  over.work = [&](GuestRange range) { return work.piece(range); };
  over.threads = threads;
  CHECK(walk(over, from.size(), progress));
  return to.flush();
}

}  // namespace flatimg::transfer
