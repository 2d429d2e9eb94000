// Requests about handles: open, release, and the two that make written data durable.
//
// A handle of the flat file is nothing but counted, and a claim when it writes; all others are FactHandles.
#include <fcntl.h>

#include <cerrno>
#include <memory>

#include "fuse/facts.h"
#include "fuse/handlers.h"

namespace flatimg::flat::handlers {

namespace {

bool wants_to_write(const fuse_file_info& handle) { return (handle.flags & O_ACCMODE) != O_RDONLY; }

void end_writing(Exported& exported) {
  --exported.open_writers;
  exported.claims.remove({});
}

void open_flat_file(fuse_req_t request, fuse_file_info* handle) {
  Exported& exported = exported_by(request);
  const bool writes = wants_to_write(*handle);
  // Also for root, whom permission bits do not stop.
  if (writes && !exported.disk.writable()) return void(fuse_reply_err(request, EACCES));
  if (writes && exported.disk.corruption()) return void(fuse_reply_err(request, EROFS));
  if (writes) {
    if (const auto claimed = exported.claims.add({}); !claimed) return reply_error(request, claimed.error());
  }
  handle->keep_cache = 1;  // nobody else changes the disk while it is mounted
  handle->noflush = !writes;
  // Counted before the kernel can write through it; an open that was interrupted gets no release.
  ++exported.open_files;
  if (writes) ++exported.open_writers;
  if (fuse_reply_open(request, handle) == -ENOENT) {
    if (writes) end_writing(exported);
    --exported.open_files;
  }
}

void open_text(fuse_req_t request, Node node, fuse_file_info* handle) {
  if (wants_to_write(*handle)) return void(fuse_reply_err(request, EACCES));
  Exported& exported = exported_by(request);
  auto text = std::make_unique<FactHandle>(exported);
  text->text = fact_text(exported, node);
  handle->fh = reinterpret_cast<std::uint64_t>(text.get());
  handle->direct_io = 1;  // the size may differ from what stat() said a moment ago
  ++exported.open_files;
  if (fuse_reply_open(request, handle) != -ENOENT) return void(text.release());
  --exported.open_files;
}

/// The kernel learns the number of blocks anew when it has changed since it was told.
void renew_attributes(const Exported& exported, fuse_ino_t number) {
  if (stat_of(exported, Node::Flat).st_blocks == exported.told_blocks || exported.session == nullptr) return;
  fuse_lowlevel_notify_inval_inode(exported.session, number, -1, 0);
}

}  // namespace

void open(fuse_req_t request, fuse_ino_t number, fuse_file_info* handle) {
  if (tree::FactNodes::has(number)) return open_fact(request, number, handle);
  const auto node = exported_by(request).names.find(number);
  if (!node) return void(fuse_reply_err(request, ESTALE));
  if (*node == Node::Flat) return open_flat_file(request, handle);
  open_text(request, *node, handle);
}

void release(fuse_req_t request, fuse_ino_t number, fuse_file_info* handle) {
  Exported& exported = exported_by(request);
  if (exported.names.find(number) != Node::Flat) return release_fact(request, handle);
  --exported.open_files;
  if (wants_to_write(*handle)) end_writing(exported);
  fuse_reply_err(request, 0);
}

// close() is no barrier. What went wrong with earlier writes the kernel has kept itself and reports now.
void flush(fuse_req_t request, fuse_ino_t number, fuse_file_info* /*handle*/) {
  Exported& exported = exported_by(request);
  if (exported.names.find(number) == Node::Flat) renew_attributes(exported, number);
  fuse_reply_err(request, 0);
}

void fsync(fuse_req_t request, fuse_ino_t number, int /*data_only*/, fuse_file_info* handle) {
  Exported& exported = exported_by(request);
  if (exported.names.find(number) != Node::Flat) return fsync_fact(request, *handle);
  const auto flushed = exported.disk.flush();
  renew_attributes(exported, number);
  reply_done(request, flushed);
}

}  // namespace flatimg::flat::handlers
