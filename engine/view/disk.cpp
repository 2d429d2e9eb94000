// Disk: life and the read path. The write path is in write.cpp, zeroing in zero.cpp, holes in holes.cpp.
#include "view/disk.h"

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "view/parts.h"
#include "view/sector_io.h"

namespace flatimg {

Disk::Disk(std::vector<std::unique_ptr<Image>> chain, DiskOptions options) : Disk(*chain.front(), options) {
  chain_ = std::move(chain);
}

Disk::Disk(Image& borrowed, DiskOptions options) : top_(&borrowed), options_(options), lock_(top_->traits().unit) {
  if (auto* divided = dynamic_cast<DividedImage*>(top_)) parts_ = std::make_unique<Parts>(*divided, options);
}

Disk::~Disk() {
  closing_ = true;
  if (counting_thread_.joinable()) counting_thread_.join();
  parts_.reset();
  // An image may use the one behind it until it is gone.
  for (auto& image : chain_) image.reset();
}

Result<void> Disk::check_range(GuestRange range) const {
  const auto end = checked_add(range.begin.value(), range.length.value());
  if (!end || *end > size().value()) {
    return fail(ErrorKind::OutOfRange, "bytes {} to {} are not within the disk of {} bytes", range.begin.value(),
                end.value_or(~std::uint64_t{0}), size().value());
  }
  return {};
}

// --- finding --------------------------------------------------------------------------------------------------------

// Follows Below down the chain, in a loop. Beyond the end of a shorter image below everything reads as zeroes; of the
// top one only what was checked is asked for, or what a growing disk has made room for.
Result<Disk::Resolved> Disk::resolve_held(GuestRange want, Look look) {
  Resolved found;
  found.image = top_;
  GuestOffset at = want.begin;
  GuestRange where = want;
  for (;;) {
    const ByteCount size = found.image->size();
    if (found.depth > 0 && at.value() >= size.value()) {
      found.extent = {where, Zeroes{}};
      found.at = at;
      return found;
    }
    const GuestRange all = GuestRange{at, where.length};
    const GuestRange asked = found.depth > 0 ? all.first(GuestOffset(size.value()) - at) : all;
    TRY(found.extent, found.image->map(asked, found.depth == 0 || look != Look::Overwrite ? look : Look::Data));
    where = {want.begin, found.extent.where.length};
    const auto* below = std::get_if<Below>(&found.extent.source);
    if (below == nullptr) break;
    if (found.image->traits().has_below) ++found.depth;  // a part is no deeper than the whole
    found.image = below->image;
    at = below->at;
  }
  found.at = at;
  if (const auto* encoded = std::get_if<Encoded>(&found.extent.source))
    found.decoded_before = at - encoded->whole.begin;
  found.extent.where = where;
  return found;
}

Result<Disk::Resolved> Disk::resolve(GuestRange want, Look look) {
  CHECK(check_range(want));
  if (parts_) return parts_->resolve(want, look);
  const RangeLock::Held held(lock_, want, RangeLock::Mode::Use);
  CHECK(check_range(want));  // it may be smaller by now
  return resolve_held(want, look);
}

// --- reading --------------------------------------------------------------------------------------------------------

Result<void> Disk::read_piece(const Resolved& piece, std::span<std::byte> out) {
  if (const auto* file = std::get_if<InFile>(&piece.extent.source)) {
    if (file->cipher) return read_enciphered({file->file, file->at, file->cipher}, out);
    return file->file->read(file->at, out);
  }
  if (const auto* encoded = std::get_if<Encoded>(&piece.extent.source)) {
    TRY(const auto decoded, piece.image->decode(*encoded));
    std::memcpy(out.data(), decoded->bytes().subspan(piece.decoded_before.value(), out.size()).data(), out.size());
    return {};
  }
  if (const auto* repeated = std::get_if<Repeated>(&piece.extent.source)) {
    repeated->fill(out);
    return {};
  }
  std::memset(out.data(), 0, out.size());
  return {};
}

Result<void> Disk::read_held(GuestRange range, std::span<std::byte> out) {
  while (!range.empty()) {
    TRY(const Resolved piece, resolve_held(range, Look::Data));
    const std::uint64_t length = piece.extent.where.length.value();
    CHECK(read_piece(piece, out.first(length)));
    out = out.subspan(length);
    range = range.without_first(piece.extent.where.length);
  }
  return {};
}

Result<void> Disk::read(GuestOffset at, std::span<std::byte> out) {
  const GuestRange range{at, ByteCount(out.size())};
  CHECK(check_range(range));
  if (range.empty()) return {};
  if (parts_) return parts_->read(range, out);
  if (top_->traits().fixed_map) return read_held(range, out);
  const RangeLock::Held held(lock_, range, RangeLock::Mode::Use);
  CHECK(check_range(range));  // the disk may be smaller by now
  return read_held(range, out);
}

// --- the rest -------------------------------------------------------------------------------------------------------

Result<void> Disk::flush() { return parts_ ? parts_->flush() : top_->flush(); }

void Disk::stop_counting() {
  closing_ = true;
  if (parts_) parts_->stop_counting();
  const MutexLock lock(counting_mutex_);
  if (counting_thread_.joinable()) counting_thread_.join();
}

Result<void> Disk::close() {
  stop_counting();
  Result<void> outcome = top_->close();
  for (std::size_t n = 1; n < chain_.size(); ++n) {
    if (auto closed = chain_[n]->close(); !closed && outcome) outcome = std::move(closed);
  }
  return outcome;
}

Result<void> Disk::accepts_writers() const {
  if (!writable()) return fail(ErrorKind::Denied, "the disk is read-only");
  if (const auto found = corruption()) {
    return fail(ErrorKind::ReadOnly, "the disk is read-only since its image was found to be corrupt: {}", *found);
  }
  return {};
}

Counters Disk::counters() const { return top_->counters(); }

}  // namespace flatimg
