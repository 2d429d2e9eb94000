// One disk as a mount shows it: what every operation works on. Lives from before the mount until after the last reply.
#pragma once

#include <atomic>
#include <string>

#include "fuse/attributes.h"
#include "fuse/confine.h"
#include "fuse/names.h"
#include "fuse/request_counters.h"
#include "fuse/size_keeper.h"
#include "view/disk.h"

struct fuse_session;

namespace flatimg::flat {

/// Who keeps the size of the flat file while it is mounted; follows from what was negotiated with the kernel.
enum class KernelCache { WriteThrough, WriteBack };

struct Exported {
  Exported(Disk& shown, Names tree, const struct stat& image, const MountOptions& options)
      : disk(shown),
        names(std::move(tree)),
        attributes(image, options, shown.writable() ? Attributes::Writing::Allowed : Attributes::Writing::Refused),
        size_keeper(shown),
        growable(options.growable && shown.writable()),
        transport(options.transport) {}

  Disk& disk;
  const Names names;
  Attributes attributes;
  RequestCounters counters;
  SizeKeeper size_keeper;
  const bool growable;
  const Transport transport;

  // Told by info.json and stats.json.
  std::string source;      // the image, absolute
  std::string written;     // where writes go: the image or its overlay; empty when nothing is written
  std::string mountpoint;  // canonical
  std::string format;
  Confinement confinement;

  std::atomic<KernelCache> kernel_cache{KernelCache::WriteThrough};
  std::atomic<unsigned> open_files{0};      // handles of the flat file
  std::atomic<unsigned> open_writers{0};    // those of them that may write
  std::atomic<blkcnt_t> told_blocks{0};     // st_blocks when the kernel last asked
  std::atomic<bool> fetching_pages{false};  // one worker waits for the kernel to write back (handlers_data.cpp)
  unsigned worker_threads = 1;
  fuse_session* session = nullptr;  // for notices to the kernel
};

}  // namespace flatimg::flat
