// A FUSE mount as the kernel has it: made, looked at, written back and taken away. All of it by the supervisor, by
// what the command line says.
#pragma once

#include <optional>
#include <string>

#include "fuse/loop_device.h"
#include "fuse/mount_table.h"
#include "fuse/names.h"
#include "fuse/options.h"
#include "host/posix_file.h"

namespace flatimg::flat {

struct MountPlan {
  std::string source;      // the image, absolute
  std::string mountpoint;  // canonical
  std::string flat_path;   // the flat file as everybody will see it
  Shape shape = Shape::Directory;
  MountOptions options;
  /// A loop device instead of a mountpoint, which is then only what messages call it; flat_path is a name in the root.
  std::optional<Partitions> loop = {};
  /// The connection of a mount that somebody else has made (handed_connection.h); mountpoint is its name only.
  std::optional<int> handed = {};
};

class KernelMount {
 public:
  explicit KernelMount(MountPlan plan) : plan_(std::move(plan)) {}

  /// Mounts: by mount(2), or by fusermount3 where that is not permitted. The connection to the kernel; the mount ends
  /// with its last descriptor.
  Result<Descriptor> make();
  /// Asks the mount itself, as any user of it would: that it answers is what "ready" means.
  Result<void> must_answer() const;
  [[nodiscard]] const std::string& mountpoint() const { return plan_.mountpoint; }
  /// With a plan that wants one: the loop device, once the mount answers. Nothing to be done otherwise.
  Result<void> attach_loop();
  [[nodiscard]] const std::string& loop_device() const { return loop_.path(); }
  /// The number by which the kernel knows it; 0 before make(), and of a mount that was handed over.
  [[nodiscard]] dev_t device() const { return device_; }
  [[nodiscard]] bool was_handed_over() const { return plan_.handed.has_value(); }
  /// Whether the mountpoint still leads to this mount, or we still hold it.
  [[nodiscard]] bool is_there() const;

  /// What programs wrote and the kernel still holds goes to the worker now, and from there to the disk.
  Result<void> write_back() const;
  /// The kernel believes in this size of the flat file from now on.
  Result<void> correct_size(ByteCount size) const;

  enum class Left {
    NotThere,  // somebody has detached it before
    Unmounted,
    Detached,  // files are open; one handle of our own among them, if has_handle()
    NotOurs,   // somebody else has mounted it, and will unmount it
  };
  /// Writes back, then unmounts, or detaches when files are open.
  Left leave();
  [[nodiscard]] bool has_handle() const { return handle_.valid(); }
  /// Once more, for those who had files open when it was detached.
  Result<void> write_back_detached();
  /// The worker has died: what is left of the mount goes.
  void clear();

 private:
  [[nodiscard]] Descriptor open_flat_file() const;
  [[nodiscard]] std::string flat_path() const;
  Result<Descriptor> make_detached();
  void let_go();

  const MountPlan plan_;
  dev_t device_ = 0;
  Descriptor root_;  // of a mount without a mountpoint
  LoopDevice loop_;
  Descriptor handle_;
};

}  // namespace flatimg::flat
