// One disk as a mount shows it: what every operation works on. Lives from before the mount until after the last reply.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "fuse/attributes.h"
#include "fuse/idle_audit.h"
#include "fuse/mounted.h"
#include "fuse/names.h"
#include "fuse/page_dropper.h"
#include "fuse/second_look.h"
#include "fuse/size_keeper.h"
#include "fuse/snapshot_readers.h"
#include "fuse/tree/fact_nodes.h"
#include "fuse/write_claims.h"
#include "view/disk.h"
#include "view/disk_audit.h"

namespace flatimg::flat {

/// Who keeps the size of the flat file while it is mounted; follows from what was negotiated with the kernel.
enum class KernelCache { WriteThrough, WriteBack };

struct Exported final : Mounted {
  Exported(std::unique_ptr<Disk> shown, SecondLook second, Names tree, const struct stat& image,
           const MountOptions& options)
      : owned_disk(std::move(shown)),
        disk(*owned_disk),
        look(std::move(second)),
        names(std::move(tree)),
        attributes(image, options, disk.writable() ? Attributes::Writing::Allowed : Attributes::Writing::Refused),
        size_keeper(disk),
        growable(options.growable && disk.writable()),
        audited(options.audit && disk.writable()) {
    transport = options.transport;
  }

  [[nodiscard]] const fuse_lowlevel_ops& operations() const override;
  [[nodiscard]] std::string status() const override;
  Result<void> create_snapshot(const std::string& path, std::string name) override;
  Result<void> delete_snapshot(const std::string& path, const std::string& name_or_id) override;
  void answers(dev_t device, Errands& errands) override;
  void fetch_pages() override;
  Result<void> close() override;

  const std::unique_ptr<Disk> owned_disk;
  Disk& disk;
  SecondLook look;
  const Names names;
  Attributes attributes;
  SizeKeeper size_keeper;
  const bool growable;
  const bool audited;

  // Told by info.json and stats.json.
  std::string written;  // where writes go: the image or its overlay; empty when nothing is written
  std::string format;

  // What .flatimg/ shows besides the texts.
  tree::FactNodes facts;
  WriteClaims claims;
  SnapshotReaders snapshot_readers;
  PageDropper page_dropper;

  std::atomic<KernelCache> kernel_cache{KernelCache::WriteThrough};
  std::atomic<unsigned> open_writers{0};    // handles of the flat file that may write
  std::atomic<blkcnt_t> told_blocks{0};     // st_blocks when the kernel last asked
  std::atomic<bool> fetching_pages{false};  // one worker waits for the kernel to write back (handlers_data.cpp)

  std::unique_ptr<DiskAudit> audit;
  IdleAudit idle_audit;  // last: its thread uses what is above
};

}  // namespace flatimg::flat
