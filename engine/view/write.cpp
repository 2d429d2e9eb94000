// Disk: the write path.
#include <algorithm>
#include <cstring>

#include "base/zeroes.h"
#include "view/parts.h"
#include "view/sector_io.h"

namespace flatimg {

namespace {

constexpr ByteCount kFirstSector{512};

std::span<const std::byte> part_of(std::span<const std::byte> data, GuestRange range, GuestRange part) {
  return data.subspan((part.begin - range.begin).value(), part.length.value());
}

Result<void> write_in_place(const InFile& where, std::span<const std::byte> data) {
  if (where.cipher) return write_enciphered({where.file, where.at, where.cipher}, data);
  return where.file->write(where.at, data);
}

// Memory for what is kept around a write: at most two clusters, kept by the thread for the next one.
AlignedBuffer& around_buffer() {
  thread_local AlignedBuffer buffer;
  return buffer;
}

}  // namespace

Result<void> Disk::write(GuestOffset at, std::span<const std::byte> data) {
  const GuestRange range{at, ByteCount(data.size())};
  CHECK(check_range(range));
  if (!writable()) return fail(ErrorKind::Denied, "the disk is read-only");
  if (range.empty()) return {};
  if (parts_) return parts_->write(range, data);
  if (options_.detect_zeroes != DiskOptions::DetectZeroes::Off && is_all_zero(data)) {
    return zero(range, options_.detect_zeroes == DiskOptions::DetectZeroes::Unmap ? Space::Release : Space::Keep);
  }
  if (top_->traits().guard_first_sector && at.value() < kFirstSector.value()) {
    const RangeLock::Held held(lock_, range, RangeLock::Mode::Change);
    CHECK(check_range(range));  // the disk may be smaller by now
    CHECK(guard(range, data));
    return write_changing(range, data);
  }
  GuestOffset done = range.begin;
  if (top_->traits().fixed_map) {
    TRY(done, overwrite_while_in_place(range, data));
    assert(done == range.end());
    return {};
  }
  // A sector that is written in part is read first, and one that is read while it is written would be deciphered into
  // neither the old nor the new bytes: so nobody else is there while an enciphered one is written.
  if (!top_->traits().enciphered) {
    const RangeLock::Held held(lock_, range, RangeLock::Mode::Use);
    CHECK(check_range(range));
    TRY(done, overwrite_while_in_place(range, data));
  }
  if (done == range.end()) return {};
  const GuestRange left = GuestRange::between(done, range.end());
  const RangeLock::Held held(lock_, left, RangeLock::Mode::Change);
  CHECK(check_range(left));
  auto written = write_changing(left, part_of(data, range, left));
  if (written || written.error().kind != ErrorKind::NoSpace) return written;
  CHECK(top_->flush());  // gives back what was freed a moment ago
  return write_changing(left, part_of(data, range, left));
}

// A disk whose format was guessed must not turn into another format by what its user writes (promise S4).
Result<void> Disk::guard(GuestRange range, std::span<const std::byte> data) {
  std::array<std::byte, kFirstSector.value()> sector{};
  const GuestRange all = whole_disk().first(kFirstSector);
  CHECK(read_held(all, std::span(sector).first(all.length.value())));
  const GuestRange changed = intersection(range, all);
  std::memcpy(sector.data() + changed.begin.value(), data.data(), changed.length.value());
  return top_->traits().guard_first_sector(sector);
}

// The range is held, as Use at least. Writes as far as it may be overwritten where it is; returns where that ends.
Result<GuestOffset> Disk::overwrite_while_in_place(GuestRange range, std::span<const std::byte> data) {
  while (!range.empty()) {
    TRY(const Extent extent, top_->map(range, Look::Overwrite));
    const auto* file = std::get_if<InFile>(&extent.source);
    if (file == nullptr || !file->in_place) break;
    assert(!file->cipher);
    CHECK(file->file->write(file->at, data.first(extent.where.length.value())));
    data = data.subspan(extent.where.length.value());
    range = range.without_first(extent.where.length);
  }
  return range.begin;
}

Result<void> Disk::write_changing(GuestRange range, std::span<const std::byte> data) {
  while (!range.empty()) {
    TRY(const Extent extent, top_->map(range, Look::Overwrite));
    const auto* file = std::get_if<InFile>(&extent.source);
    GuestRange part = extent.where;
    if (file != nullptr && file->in_place) {
      CHECK(write_in_place(*file, data.first(part.length.value())));
    } else {
      TRY(Placement placement, top_->place(extent.where));
      part = intersection(placement.fill, extent.where);
      CHECK(fill_and_link(std::move(placement), part, data.first(part.length.value())));
    }
    data = data.subspan(part.length.value());
    range = range.without_first(part.length);
  }
  return {};
}

Result<bool> Disk::all_zero(GuestRange range) {
  while (!range.empty()) {
    TRY(const Resolved piece, resolve_held(range, Look::Data));
    if (!std::holds_alternative<Zeroes>(piece.extent.source)) return false;
    range = range.without_first(piece.extent.where.length);
  }
  return true;
}

// What is kept on one side of a write, read into `memory`; empty when it is zero and the host shows zeroes anyway.
Result<std::span<const std::byte>> Disk::kept_bytes(GuestRange around, std::span<std::byte> memory,
                                                    const Placement& where) {
  if (around.empty()) return std::span<const std::byte>{};
  const GuestRange visible = intersection(around, whole_disk());
  if (where.reads_zero) {
    TRY(const bool zeroes, all_zero(visible));
    if (zeroes) return std::span<const std::byte>{};
  }
  CHECK(read_held(visible, memory.first(visible.length.value())));
  std::memset(memory.data() + visible.length.value(), 0, memory.size() - visible.length.value());
  return std::span<const std::byte>(memory);
}

// `range` is the part of placement.fill that gets `data`; the rest keeps what the guest sees there.
Result<void> Disk::fill_and_link(Placement placement, GuestRange range, std::span<const std::byte> data) {
  const GuestRange before = GuestRange::between(placement.fill.begin, range.begin);
  const GuestRange after = GuestRange::between(range.end(), placement.fill.end());
  const auto memory = around_buffer().at_least((before.length + after.length).value());
  TRY(const auto kept_before, kept_bytes(before, memory.first(before.length.value()), placement));
  TRY(const auto kept_after, kept_bytes(after, memory.subspan(before.length.value()), placement));
  const std::array parts{kept_before, data, kept_after};
  if (placement.cipher) {
    CHECK(write_whole_sectors({placement.file, placement.at, placement.cipher}, parts));
    return link_counted(std::move(placement));
  }
  const ByteCount skipped = kept_before.empty() ? before.length : ByteCount(0);
  CHECK(placement.file->write(placement.at + skipped, parts));
  return link_counted(std::move(placement));
}

Result<void> Disk::write_encoded(GuestOffset unit, std::span<const std::byte> encoded) {
  const GuestRange whole{unit, traits().unit};
  assert((unit % whole.length).is_zero());
  if (!writable()) return fail(ErrorKind::Denied, "the disk is read-only");
  const RangeLock::Held held(lock_, whole, RangeLock::Mode::Change);
  CHECK(check_range(whole.first(size() - std::min(size(), unit - GuestOffset(0)))));
  TRY(Placement placement, top_->place_encoded(whole, ByteCount(encoded.size())));
  CHECK(placement.file->write(placement.at, encoded));
  return link_counted(std::move(placement));
}

Result<void> Disk::link_counted(Placement placement) {
  const GuestRange counted = data_count_.counted_part(intersection(placement.fill, whole_disk()));
  TRY(const ByteCount before, data_bytes_in(counted));
  CHECK(top_->link(std::move(placement)));
  data_count_.add(static_cast<std::int64_t>((counted.length - before).value()));
  return {};
}

}  // namespace flatimg
