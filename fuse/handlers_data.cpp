// Requests that move bytes or ask where they are.
//
// The end of the disk is fixed as far as these are concerned: reads are short there, writes are cut and then ENOSPC, as
// on a block device. Only truncate resizes (handlers_attributes.cpp), and fallocate of a growable mount.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "fuse/disk_replies.h"
#include "fuse/handlers.h"

namespace flatimg::flat::handlers {

namespace {

/// Brings pages that the kernel has not written yet here first: it does not do that itself before it asks.
///
/// The notice returns when other workers have taken those pages, so one of them at least must be free: one seek at a
/// time does this. False when the pages did not come.
bool fetch_pages(Exported& exported, fuse_ino_t number, off_t from) {
  if (exported.worker_threads < 2 || exported.fetching_pages.exchange(true)) return false;
  const int failed = fuse_lowlevel_notify_inval_inode(exported.session, number, from, 0);
  exported.fetching_pages = false;
  return failed == 0;
}

bool kernel_may_hold_pages(const Exported& exported) {
  return exported.kernel_cache == KernelCache::WriteBack && exported.open_writers > 0;
}

/// What is right in any case: all of it may be data.
off_t seek_blindly(const Disk& disk, off_t from, int whence) {
  return whence == SEEK_DATA ? from : static_cast<off_t>(disk.size().value());
}

}  // namespace

void read(fuse_req_t request, fuse_ino_t number, std::size_t size, off_t from, fuse_file_info* handle) {
  Exported& exported = exported_by(request);
  if (exported.names.find(number) != Node::Flat) return read_fact(request, size, from, *handle);
  reply_read(request, exported.disk, size, from);
}

void write(fuse_req_t request, fuse_ino_t number, const char* bytes, std::size_t size, off_t to,
           fuse_file_info* handle) {
  Exported& exported = exported_by(request);
  if (exported.names.find(number) != Node::Flat) {
    return write_fact(request, std::as_bytes(std::span(bytes, size)), to, *handle);
  }
  const GuestRange inside = intersection(range_at(to, size), whole(exported.disk));
  if (inside.length.value() < size) exported.size_keeper.correct();
  if (inside.empty() && size != 0) return void(fuse_reply_err(request, ENOSPC));
  const auto data = std::as_bytes(std::span(bytes, inside.length.value()));
  if (const auto done = exported.disk.write(inside.begin, data); !done) return reply_error(request, done.error());
  exported.attributes.touch();
  exported.counters.add_written(data.size());
  // Of a page that the kernel writes back late nobody would see that it was cut short.
  if (data.size() < size && handle->writepage != 0) return void(fuse_reply_err(request, ENOSPC));
  fuse_reply_write(request, data.size());
}

void lseek(fuse_req_t request, fuse_ino_t number, off_t from, int whence, fuse_file_info* handle) {
  Exported& exported = exported_by(request);
  if (whence != SEEK_DATA && whence != SEEK_HOLE) return void(fuse_reply_err(request, EINVAL));
  if (exported.names.find(number) != Node::Flat) return lseek_fact(request, from, whence, *handle);
  if (is_on_disk(exported.disk, from) && kernel_may_hold_pages(exported) && !fetch_pages(exported, number, from)) {
    return void(fuse_reply_lseek(request, seek_blindly(exported.disk, from, whence)));
  }
  reply_seek(request, exported.disk, from, whence);
}

void fallocate(fuse_req_t request, fuse_ino_t number, int mode, off_t from, off_t size, fuse_file_info* handle) {
  Exported& exported = exported_by(request);
  if (exported.names.find(number) != Node::Flat) return fallocate_fact(request, mode, from, size, *handle);
  const auto done =
      allocate_or_free(exported.disk, growth_of(exported), mode, range_at(from, static_cast<std::uint64_t>(size)));
  if (done) exported.attributes.touch();
  reply_done(request, done);
}

}  // namespace flatimg::flat::handlers
