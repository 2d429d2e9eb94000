#include "fuse/disk_replies.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "fuse/reply.h"

namespace flatimg::flat {

namespace {

GuestRange within(const DiskPart& part, GuestRange range) {
  const GuestRange inside = intersection(range, {GuestOffset(0), part.where.length});
  return intersection({part.where.begin + (inside.begin - GuestOffset(0)), inside.length}, whole(part.disk));
}

/// The part without what a disk that has shrunk has lost.
GuestRange rest_of(const DiskPart& part) { return intersection(part.where, whole(part.disk)); }

}  // namespace

void reply_read(fuse_req_t request, Disk& disk, std::size_t size, off_t from) {
  reply_read(request, DiskPart{disk, whole(disk)}, size, from);
}

void reply_read(fuse_req_t request, const DiskPart& part, std::size_t size, off_t from) {
  Disk& disk = part.disk;
  const GuestRange range = within(part, range_at(from, size));
  const std::span<std::byte> out = reply_buffer(range.length.value());
  if (const auto done = disk.read(range.begin, out); !done) return reply_error(request, done.error());
  mount_of(request).counters.add_read(out.size());
  fuse_reply_buf(request, reinterpret_cast<const char*>(out.data()), out.size());
}

bool is_on_disk(const Disk& disk, off_t from) {
  return from >= 0 && static_cast<std::uint64_t>(from) < disk.size().value();
}

void reply_seek(fuse_req_t request, Disk& disk, off_t from, int whence) {
  if (!is_on_disk(disk, from)) return void(fuse_reply_err(request, ENXIO));
  const auto found = seek(disk, GuestOffset(static_cast<std::uint64_t>(from)), whence);
  if (!found) return reply_error(request, found.error());
  if (!*found) return void(fuse_reply_err(request, ENXIO));
  fuse_reply_lseek(request, static_cast<off_t>((*found)->value()));
}

void reply_seek(fuse_req_t request, const DiskPart& part, off_t from, int whence) {
  const GuestRange rest = rest_of(part);
  if (from < 0 || static_cast<std::uint64_t>(from) >= rest.length.value()) return void(fuse_reply_err(request, ENXIO));
  const auto found = seek(part.disk, rest.begin + ByteCount(static_cast<std::uint64_t>(from)), whence);
  if (!found) return reply_error(request, found.error());
  const bool behind = !*found || **found >= rest.end();
  if (behind && whence == SEEK_DATA) return void(fuse_reply_err(request, ENXIO));
  const GuestOffset at = behind ? rest.end() : **found;
  fuse_reply_lseek(request, static_cast<off_t>((at - rest.begin).value()));
}

Result<std::size_t> write_to(const DiskPart& part, std::span<const std::byte> bytes, off_t to) {
  const GuestRange inside = within(part, range_at(to, bytes.size()));
  if (inside.empty() && !bytes.empty()) return fail(ErrorKind::NoSpace, "the write begins behind the end");
  CHECK(part.disk.write(inside.begin, bytes.first(inside.length.value())));
  return std::size_t{inside.length.value()};
}

Result<void> allocate_or_free(const DiskPart& part, int mode, off_t from, off_t size) {
  const GuestRange wanted = range_at(from, static_cast<std::uint64_t>(size));
  const GuestRange inside = within(part, wanted);
  const bool zeroing = (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0;
  if (inside.length != wanted.length && (!zeroing || (mode & FALLOC_FL_KEEP_SIZE) == 0)) {
    return fail(ErrorKind::OutOfRange, "the range ends beyond the end of the partition");
  }
  return inside.empty() ? Result<void>() : allocate_or_free(part.disk, Growth::Refused, mode, inside);
}

void reply_text(fuse_req_t request, const std::string& text, std::size_t size, off_t from) {
  const std::size_t begin = std::min(static_cast<std::size_t>(from), text.size());
  fuse_reply_buf(request, text.data() + begin, std::min(size, text.size() - begin));
}

}  // namespace flatimg::flat
