// Disk: zeroing, discarding and allocating.
#include <algorithm>
#include <array>

#include "view/parts.h"
#include "view/sector_io.h"

namespace flatimg {

namespace {

// How much is held at once, so that a punch over the whole disk does not keep everybody out until it is done.
constexpr ByteCount kHeldAtOnce{256u << 20};

constexpr std::size_t kZeroPiece = 256u << 10;
alignas(4096) constinit const std::array<std::byte, kZeroPiece> kZeroBytes{};

GuestRange chunk_of(GuestRange range) {
  return range.first(align_down(range.begin, kHeldAtOnce) + kHeldAtOnce - range.begin);
}

}  // namespace

Result<void> Disk::zero(GuestRange range, Space space) {
  CHECK(check_range(range));
  if (!writable()) return fail(ErrorKind::Denied, "the disk is read-only");
  if (parts_) return parts_->zero(range, space);
  if (options_.discard == DiskOptions::Discard::Ignore) space = Space::Keep;
  while (!range.empty()) {
    const GuestRange chunk = chunk_of(range);
    const RangeLock::Held held(lock_, chunk, RangeLock::Mode::Change);
    CHECK(check_range(chunk));  // the disk may be smaller by now
    CHECK(zero_held(chunk, space, whole_disk().end()));
    range = range.without_first(chunk.length);
  }
  return {};
}

// Whole units by the tables, the edges by writing. The last unit counts as whole when the disk ends in it.
Result<void> Disk::zero_held(GuestRange range, Space space, GuestOffset disk_end) {
  const ByteCount granule = top_->traits().granule;
  const GuestOffset begin = std::min(align_up(range.begin, granule), range.end());
  const bool to_the_end = range.end() == disk_end;
  const GuestOffset end = std::max(begin, to_the_end ? range.end() : align_down(range.end(), granule));
  CHECK(write_zeroes(GuestRange::between(range.begin, begin)));
  CHECK(zero_whole_units(GuestRange::between(begin, end), space));
  return write_zeroes(GuestRange::between(end, range.end()));
}

Result<void> Disk::zero_whole_units(GuestRange whole, Space space) {
  while (!whole.empty()) {
    const GuestRange counted = data_count_.counted_part(whole);
    const bool uncounted = counted.empty() || top_->known_data_bytes().has_value();
    ByteCount before;
    if (!uncounted) {
      TRY(before, data_bytes_in(counted));
    }
    TRY(const GuestRange done, top_->zero(whole, space));
    if (!uncounted) {
      TRY(const ByteCount after, data_bytes_in(counted));
      data_count_.add(static_cast<std::int64_t>(after.value()) - static_cast<std::int64_t>(before.value()));
    }
    whole = whole.without_first(done.length);
    if (whole.empty()) break;
    // The format cannot say zero here: one unit of literal zeroes, then it may be asked again.
    const GuestRange unit =
        whole.first(align_down(whole.begin, top_->traits().unit) + top_->traits().unit - whole.begin);
    CHECK(write_zeroes(unit));
    whole = whole.without_first(unit.length);
  }
  return {};
}

// Literal zeroes, but only where something else is: in place by the host's own means (unless zeroes are enciphered like
// everything else), else like any other write.
Result<void> Disk::write_zeroes(GuestRange range) {
  while (!range.empty()) {
    TRY(const Resolved piece, resolve_held(range, Look::Overwrite));
    GuestRange where = piece.extent.where;
    const auto* file = std::get_if<InFile>(&piece.extent.source);
    if (file != nullptr && piece.depth == 0 && file->in_place && file->cipher) {
      where = where.first(ByteCount(kZeroPiece));
      CHECK(write_enciphered({file->file, file->at, file->cipher}, std::span(kZeroBytes).first(where.length.value())));
    } else if (file != nullptr && piece.depth == 0 && file->in_place) {
      CHECK(file->file->zero({file->at, where.length}, Space::Keep));
    } else if (!std::holds_alternative<Zeroes>(piece.extent.source)) {
      where = where.first(ByteCount(kZeroPiece));
      CHECK(write_changing(where, std::span(kZeroBytes).first(where.length.value())));
    }
    range = range.without_first(where.length);
  }
  return {};
}

Result<void> Disk::allocate(GuestRange range) {
  CHECK(check_range(range));
  if (!writable()) return fail(ErrorKind::Denied, "the disk is read-only");
  if (parts_) return parts_->allocate(range);
  while (!range.empty()) {
    const GuestRange chunk = chunk_of(range);
    const RangeLock::Held held(lock_, chunk, RangeLock::Mode::Change);
    CHECK(check_range(chunk));
    CHECK(allocate_held(chunk));
    range = range.without_first(chunk.length);
  }
  return {};
}

// Space that is reserved already stays as it is; everything else becomes data with the bytes that the guest sees.
Result<void> Disk::allocate_held(GuestRange range) {
  while (!range.empty()) {
    TRY(const Extent extent, top_->map(range, Look::Overwrite));
    const auto* file = std::get_if<InFile>(&extent.source);
    const auto* zeroes = std::get_if<Zeroes>(&extent.source);
    GuestRange where = extent.where;
    if (file != nullptr && file->in_place) {
      CHECK(file->file->reserve({file->at, where.length}));
    } else if (zeroes == nullptr || !zeroes->space_reserved) {
      if (top_->traits().enciphered) where = where.first(ByteCount(kZeroPiece));  // zeroes are written, too
      TRY(Placement placement, top_->place(where));
      where = intersection(placement.fill, where);
      const HostRange host{placement.at, placement.fill.length};
      TRY(const bool zero_all_over, all_zero(intersection(placement.fill, whole_disk())));
      if (zero_all_over && !placement.cipher) {
        CHECK(placement.file->zero(host, Space::Keep));
        CHECK(placement.file->reserve(host));
        CHECK(link_counted(std::move(placement)));
      } else {
        const GuestRange nothing{placement.fill.begin, ByteCount(0)};
        CHECK(fill_and_link(std::move(placement), nothing, {}));
      }
    }
    range = range.without_first(where.length);
  }
  return {};
}

}  // namespace flatimg
