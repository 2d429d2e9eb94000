#include "transfer/compare.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

#include "transfer/whole_read.h"

namespace flatimg::transfer {

namespace {

constexpr std::size_t kSector = 512;

/// Where the first difference is, as far as anybody knows.
class Earliest {
 public:
  void found(GuestOffset at) {
    std::uint64_t known = at_.load();
    while (at.value() < known && !at_.compare_exchange_weak(known, at.value())) continue;
  }
  [[nodiscard]] bool is_before(GuestOffset at) const { return at_.load() < at.value(); }
  [[nodiscard]] std::optional<GuestOffset> get() const {
    return at_ == kNone ? std::nullopt : std::optional(GuestOffset(at_.load()));
  }

 private:
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};
  std::atomic<std::uint64_t> at_{kNone};
};

Result<void> compare_piece(Disk& a, Disk& b, GuestRange range, Earliest& earliest) {
  thread_local std::array<AlignedBuffer, 2> buffers;
  const std::size_t length = range.length.value();
  const auto ours = buffers[0].at_least(length).first(length);
  const auto theirs = buffers[1].at_least(length).first(length);
  CHECK(whole_read(&a, range.begin, ours));
  CHECK(whole_read(&b, range.begin, theirs));
  if (std::memcmp(ours.data(), theirs.data(), length) == 0) return {};
  const auto differs =
      static_cast<std::size_t>(std::mismatch(ours.begin(), ours.end(), theirs.begin()).first - ours.begin());
  earliest.found(range.begin + ByteCount(differs / kSector * kSector));
  return {};
}

Result<std::optional<Difference>> compare_contents(Disk& a, Disk& b, const Progress& progress) {
  const ByteCount size = std::max(a.size(), b.size());
  Earliest earliest;
  Walk over;
  over.next = [&](GuestOffset from) -> Result<std::optional<GuestRange>> {
    if (earliest.is_before(from)) return std::nullopt;
    TRY(const auto at, next_data_in_either(&a, &b, from));
    return at ? std::optional(piece_from(*at, size)) : std::nullopt;
  };
  over.work = [&](GuestRange range) { return compare_piece(a, b, range, earliest); };
  CHECK(walk(over, size, progress));
  const auto at = earliest.get();
  return at ? std::optional(Difference{Difference::Kind::Content, *at}) : std::nullopt;
}

/// What is said of a part of a disk, in the terms of QEMU's block status.
struct Status {
  bool zero = false;
  bool allocated = false;   // the image says something about it; a raw file always does
  bool has_offset = false;  // there is one place in a file for it
  friend bool operator==(const Status&, const Status&) = default;
};

Status status_of(const Disk::Resolved& piece) {
  const auto* zeroes = std::get_if<Zeroes>(&piece.extent.source);
  if (zeroes == nullptr) return {false, true, std::holds_alternative<InFile>(piece.extent.source)};
  const bool raw = piece.image->traits().format == "raw";
  return {true, zeroes->recorded || raw, zeroes->space_reserved || raw};
}

Result<std::optional<Difference>> compare_allocation(Disk& a, Disk& b) {
  GuestRange left{GuestOffset(0), a.size()};
  while (!left.empty()) {
    TRY(const Disk::Resolved ours, a.resolve(left, Look::Holes));
    TRY(const Disk::Resolved theirs, b.resolve(left, Look::Holes));
    if (status_of(ours) != status_of(theirs)) return Difference{Difference::Kind::Allocation, left.begin};
    left = left.without_first(std::min(ours.extent.where.length, theirs.extent.where.length));
  }
  return std::nullopt;
}

}  // namespace

Result<std::optional<Difference>> compare(Disk& a, Disk& b, Strictness strictness, const Progress& progress) {
  if (strictness == Strictness::Contents) return compare_contents(a, b, progress);
  if (a.size() != b.size()) return Difference{Difference::Kind::Size, GuestOffset(0) + std::min(a.size(), b.size())};
  TRY(const auto content, compare_contents(a, b, progress));
  TRY(const auto allocation, compare_allocation(a, b));
  if (!content) return allocation;
  return allocation && allocation->at <= content->at ? allocation : content;
}

}  // namespace flatimg::transfer
