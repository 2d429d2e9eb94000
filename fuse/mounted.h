// What every mount has, whatever it shows: what the session, the control socket and the end of a mount work with.
//
// The virtual functions are for the beginning, the end and the questions of other programs. No request of the kernel
// goes through them: each kind of mount has its own table of handlers.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <string>

#include "base/result.h"
#include "fuse/confine.h"
#include "fuse/options.h"
#include "fuse/request_counters.h"

struct fuse_session;
struct fuse_lowlevel_ops;

namespace flatimg::flat {

class Errands;

struct Mounted {
  Mounted() = default;
  Mounted(const Mounted&) = delete;
  Mounted& operator=(const Mounted&) = delete;
  virtual ~Mounted() = default;

  [[nodiscard]] virtual const fuse_lowlevel_ops& operations() const = 0;
  /// stats.json.
  [[nodiscard]] virtual std::string status() const = 0;
  // Internal snapshots while it is mounted, of the image at `path`: beneath the mountpoint, without a slash in front. A
  // mount of one image has no other, whatever the path. Any thread that serves no requests.
  virtual Result<void> create_snapshot(const std::string& path, std::string name) = 0;
  /// Busy while a snapshot of the image is open as a file.
  virtual Result<void> delete_snapshot(const std::string& path, const std::string& name_or_id) = 0;
  /// The mount answers, and this is the number by which the kernel knows it. `errands` outlives the mount.
  virtual void answers(dev_t device, Errands& errands) = 0;
  /// Brings what the kernel has not written back yet here, without a file of the mount.
  virtual void fetch_pages() {}
  /// After the last request: flushes and lets go of everything. Failing means that bytes may be lost.
  virtual Result<void> close() = 0;

  RequestCounters counters;
  Transport transport = Transport::Auto;
  std::string source;      // the image or the directory, absolute
  std::string mountpoint;  // canonical
  std::atomic<unsigned> open_files{0};
  Confinement confinement;
  unsigned worker_threads = 1;
  fuse_session* session = nullptr;  // for notices to the kernel
};

}  // namespace flatimg::flat
