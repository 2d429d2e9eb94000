// What the beginning and the end of a mount ask of one disk.
#include "fuse/exported.h"

#include "base/log.h"
#include "fuse/errands.h"
#include "fuse/facts.h"
#include "fuse/libfuse.h"
#include "fuse/operations.h"

namespace flatimg::flat {

const fuse_lowlevel_ops& Exported::operations() const { return flat::operations(); }

std::string Exported::status() const { return stats_json(*this); }

void Exported::answers(dev_t /*device*/, Errands& errands) {
  if (kernel_cache != KernelCache::WriteBack) return;
  size_keeper.start([&errands](ByteCount size) { return errands.correct_size(size); });
}

void Exported::fetch_pages() {
  if (kernel_cache != KernelCache::WriteBack) return;
  const auto number = names.number_of(Node::Flat);
  if (const int failed = fuse_lowlevel_notify_inval_inode(session, number, 0, 0); failed != 0) {
    log(LogLevel::Debug, "{}", system_error(-failed, "fetching what the kernel has not written back").text);
  }
}

}  // namespace flatimg::flat
