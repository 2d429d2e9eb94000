// One disk as a mount shows it: what every operation works on. Lives from before the mount until after the last reply.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "fuse/attributes.h"
#include "fuse/mounted.h"
#include "fuse/names.h"
#include "fuse/size_keeper.h"
#include "view/disk.h"

namespace flatimg::flat {

/// Who keeps the size of the flat file while it is mounted; follows from what was negotiated with the kernel.
enum class KernelCache { WriteThrough, WriteBack };

struct Exported final : Mounted {
  Exported(std::unique_ptr<Disk> shown, Names tree, const struct stat& image, const MountOptions& options)
      : owned_disk(std::move(shown)),
        disk(*owned_disk),
        names(std::move(tree)),
        attributes(image, options, disk.writable() ? Attributes::Writing::Allowed : Attributes::Writing::Refused),
        size_keeper(disk),
        growable(options.growable && disk.writable()) {
    transport = options.transport;
  }

  [[nodiscard]] const fuse_lowlevel_ops& operations() const override;
  [[nodiscard]] std::string status() const override;
  [[nodiscard]] Result<Disk*> disk_of_snapshots() const override { return &disk; }
  void answers(dev_t device, Errands& errands) override;
  void fetch_pages() override;
  Result<void> close() override { return disk.close(); }

  const std::unique_ptr<Disk> owned_disk;
  Disk& disk;
  const Names names;
  Attributes attributes;
  SizeKeeper size_keeper;
  const bool growable;

  // Told by info.json and stats.json.
  std::string written;  // where writes go: the image or its overlay; empty when nothing is written
  std::string format;

  std::atomic<KernelCache> kernel_cache{KernelCache::WriteThrough};
  std::atomic<unsigned> open_writers{0};    // handles of the flat file that may write
  std::atomic<blkcnt_t> told_blocks{0};     // st_blocks when the kernel last asked
  std::atomic<bool> fetching_pages{false};  // one worker waits for the kernel to write back (handlers_data.cpp)
};

}  // namespace flatimg::flat
