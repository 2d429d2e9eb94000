#include "view/parts.h"

#include <algorithm>
#include <cstring>

#include "base/text.h"

namespace flatimg {

Parts::Parts(DividedImage& whole, const DiskOptions& options) : whole_(whole) {
  for (const DiskPart& part : whole.parts()) {
    auto piece = std::make_unique<Piece>();
    piece->part = part;
    if (part.image != nullptr) piece->disk.reset(new Disk(*part.image, options));
    pieces_.push_back(std::move(piece));
  }
}

// The first part of a range, as far as one piece has it.
Parts::Share Parts::share_of(GuestRange range) {
  const auto begin_of = [](const std::unique_ptr<Piece>& piece) { return piece->part.where.begin; };
  Piece& piece = **std::prev(std::ranges::upper_bound(pieces_, range.begin, {}, begin_of));
  const GuestRange where = intersection(range, piece.part.where);
  return {&piece, where, {piece.part.at + (where.begin - piece.part.where.begin), where.length}};
}

Result<void> Parts::read(GuestRange range, std::span<std::byte> out) {
  while (!range.empty()) {
    const Share share = share_of(range);
    const auto bytes = out.first(share.where.length.value());
    if (share.piece->disk) {
      CHECK(share.piece->disk->read(share.there.begin, bytes));
    } else {
      std::memset(bytes.data(), 0, bytes.size());
    }
    out = out.subspan(bytes.size());
    range = range.without_first(share.where.length);
  }
  return {};
}

// --- changes --------------------------------------------------------------------------------------------------------

Result<void> Parts::must_be_writable(GuestRange range) {
  while (!range.empty()) {
    const Share share = share_of(range);
    if (!share.piece->disk || !share.piece->disk->writable()) {
      return fail(ErrorKind::Denied, "{}: this part of the disk is read-only", shown(share.piece->part.name));
    }
    range = range.without_first(share.where.length);
  }
  return {};
}

// A change that failed may have been made in part: it counts, too.
template <class Change>
Result<void> Parts::change(GuestRange range, Change change) {
  CHECK(must_be_writable(range));
  while (!range.empty()) {
    const Share share = share_of(range);
    const auto changed = change(share);
    ++share.piece->written;
    CHECK(changed);
    range = range.without_first(share.where.length);
  }
  return {};
}

Result<void> Parts::write(GuestRange range, std::span<const std::byte> data) {
  return change(range, [&](const Share& share) {
    const std::uint64_t before = (share.where.begin - range.begin).value();
    return share.piece->disk->write(share.there.begin, data.subspan(before, share.where.length.value()));
  });
}

Result<void> Parts::zero(GuestRange range, Space space) {
  return change(range, [&](const Share& share) { return share.piece->disk->zero(share.there, space); });
}

Result<void> Parts::allocate(GuestRange range) {
  return change(range, [&](const Share& share) { return share.piece->disk->allocate(share.there); });
}

// Images without tables have nothing that could fail in the background and would have to be told here.
Result<void> Parts::Piece::flush() {
  const std::uint64_t now = written.load();
  if (now == 0 || (flushed.load() >= now && part.image->traits().fixed_map)) return {};
  CHECK(disk->flush());
  std::uint64_t known = flushed.load();
  while (known < now && !flushed.compare_exchange_weak(known, now)) continue;
  return {};
}

Result<void> Parts::flush() {
  Result<void> outcome;
  for (const auto& piece : pieces_) {
    auto flushed = piece->flush();
    if (!flushed && outcome) outcome = std::move(flushed);
  }
  return outcome;
}

// --- data and holes -------------------------------------------------------------------------------------------------

// `find` looks in one part, from an offset of its image; what it finds behind the end of the part does not count.
template <class Find>
Result<std::optional<GuestOffset>> Parts::find(GuestOffset from, Find find) {
  for (GuestRange left = GuestRange::between(from, GuestOffset(0) + whole_.size()); !left.empty();) {
    const Share share = share_of(left);
    TRY(const std::optional<GuestOffset> found, find(share));
    if (found && *found < share.there.end()) return share.where.begin + (*found - share.there.begin);
    left = left.without_first(share.where.length);
  }
  return std::nullopt;
}

Result<std::optional<GuestOffset>> Parts::next_data(GuestOffset from) {
  return find(from, [](const Share& share) -> Result<std::optional<GuestOffset>> {
    if (!share.piece->disk) return std::nullopt;
    return share.piece->disk->next_data(share.there.begin);
  });
}

Result<std::optional<GuestOffset>> Parts::next_hole(GuestOffset from) {
  return find(from, [](const Share& share) -> Result<std::optional<GuestOffset>> {
    if (!share.piece->disk) return share.there.begin;
    TRY(const GuestOffset hole, share.piece->disk->next_hole(share.there.begin));
    return hole;
  });
}

ByteCount Parts::data_bytes() {
  ByteCount sum;
  for (const auto& piece : pieces_) {
    if (piece->disk) sum += std::min(piece->part.where.length, piece->disk->data_bytes());
  }
  return sum;
}

Result<Disk::Resolved> Parts::resolve(GuestRange want, Look look) {
  const Share share = share_of(want);
  if (!share.piece->disk) {
    return Disk::Resolved{{share.where, Zeroes{true}}, 0, &whole_, share.where.begin, {}};
  }
  TRY(Disk::Resolved found, share.piece->disk->resolve(share.there, look));
  found.extent.where = {share.where.begin, found.extent.where.length};
  return found;
}

std::vector<Disk*> Parts::disks() const {
  std::vector<Disk*> disks;
  for (const auto& piece : pieces_) {
    if (piece->disk) disks.push_back(piece->disk.get());
  }
  return disks;
}

void Parts::stop_counting() {
  for (const auto& piece : pieces_) {
    if (piece->disk) piece->disk->stop_counting();
  }
}

}  // namespace flatimg
