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

Result<void> Exported::create_snapshot(const std::string& /*path*/, std::string name) {
  return disk.create_snapshot(snapshot_now(std::move(name)));
}

Result<void> Exported::delete_snapshot(const std::string& /*path*/, const std::string& name_or_id) {
  return snapshot_readers.when_unread([&] { return disk.delete_snapshot(name_or_id); });
}

void Exported::answers(dev_t device, Errands& errands) {
  look.refuse_device(device);
  page_dropper.start(session);
  if (audited) {
    audit = std::make_unique<DiskAudit>(disk);
    idle_audit.start(counters, [this] { return audit->step(DiskAudit::Clock::now()) != DiskAudit::Step::Nothing; });
  }
  if (kernel_cache != KernelCache::WriteBack) return;
  size_keeper.start([&errands](ByteCount size) { return errands.correct_size(size); });
}

Result<void> Exported::close() {
  idle_audit.stop();
  audit.reset();
  page_dropper.stop();
  return disk.close();
}

void Exported::fetch_pages() {
  if (kernel_cache != KernelCache::WriteBack) return;
  const auto number = names.number_of(Node::Flat);
  if (const int failed = fuse_lowlevel_notify_inval_inode(session, number, 0, 0); failed != 0) {
    log(LogLevel::Debug, "{}", system_error(-failed, "fetching what the kernel has not written back").text);
  }
}

}  // namespace flatimg::flat
