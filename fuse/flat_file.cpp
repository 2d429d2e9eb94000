#include "fuse/flat_file.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/aligned_buffer.h"

namespace flatimg::flat {

namespace {

Result<void> grow_to(Disk& disk, Growth growth, GuestOffset end) {
  if (end <= whole(disk).end()) return {};
  if (growth == Growth::Refused) return fail(ErrorKind::OutOfRange, "the range ends beyond the end of the disk");
  return disk.resize(ByteCount(end.value()));
}

/// Zeroes the part of a range that lies on the disk, if any does.
Result<void> zero_inside(Disk& disk, GuestRange range, Space space) {
  const GuestRange inside = intersection(range, whole(disk));
  return inside.empty() ? Result<void>() : disk.zero(inside, space);
}

/// fallocate without a punch. What lies beyond the end makes a growable disk larger unless the size is to be kept.
Result<void> reserve(Disk& disk, Growth growth, int mode, GuestRange range) {
  if ((mode & FALLOC_FL_KEEP_SIZE) == 0) CHECK(grow_to(disk, growth, range.end()));
  if ((mode & FALLOC_FL_ZERO_RANGE) != 0) return zero_inside(disk, range, Space::Keep);
  if (!whole(disk).contains(range)) {
    return fail(ErrorKind::OutOfRange, "there is nothing to reserve beyond the end of the disk");
  }
  return disk.allocate(range);
}

}  // namespace

GuestRange range_at(off_t from, std::uint64_t size) {
  return {GuestOffset(static_cast<std::uint64_t>(from)), ByteCount(size)};
}

GuestRange whole(const Disk& disk) { return {GuestOffset(0), disk.size()}; }

std::span<std::byte> reply_buffer(std::size_t bytes) {
  thread_local AlignedBuffer buffer;
  return buffer.at_least(bytes);
}

Result<void> allocate_or_free(Disk& disk, Growth growth, int mode, GuestRange range) {
  switch (mode) {
    case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
      return zero_inside(disk, range, Space::Release);
    case 0:
    case FALLOC_FL_KEEP_SIZE:
    case FALLOC_FL_ZERO_RANGE:
    case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
      return reserve(disk, growth, mode, range);
    default:
      return fail(ErrorKind::Unsupported, "fallocate mode {:#x}", mode);
  }
}

Result<std::optional<GuestOffset>> seek(Disk& disk, GuestOffset from, int whence) {
  if (whence == SEEK_DATA) return disk.next_data(from);
  TRY(const GuestOffset hole, disk.next_hole(from));
  return std::optional(hole);
}

bool is_ignored_truncation(ByteCount size, SizeFrom from) { return from == SizeFrom::Path && size.is_zero(); }

Result<void> set_size(Disk& disk, ByteCount size, Growth growth) {
  if (size == disk.size()) return {};
  if (growth == Growth::Refused) {
    return fail(ErrorKind::Denied, "the size of the disk is fixed: mount with -o growable to change it");
  }
  return disk.resize(size);
}

}  // namespace flatimg::flat
