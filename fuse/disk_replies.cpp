#include "fuse/disk_replies.h"

#include <algorithm>
#include <cerrno>

#include "fuse/flat_file.h"
#include "fuse/reply.h"

namespace flatimg::flat {

void reply_read(fuse_req_t request, Disk& disk, std::size_t size, off_t from) {
  const GuestRange range = intersection(range_at(from, size), whole(disk));
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

void reply_text(fuse_req_t request, const std::string& text, std::size_t size, off_t from) {
  const std::size_t begin = std::min(static_cast<std::size_t>(from), text.size());
  fuse_reply_buf(request, text.data() + begin, std::min(size, text.size() - begin));
}

}  // namespace flatimg::flat
