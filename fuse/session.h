// One connection to the kernel: from libfuse's session to the mount and its end.
//
// Invariant: whatever path leads out, a mount that this session made is not left behind answering nobody.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fuse/exported.h"
#include "fuse/workers.h"

namespace flatimg::flat {

class Session {
 public:
  /// Mounts at exported.mountpoint and starts the workers. `exported` outlives the session.
  static Result<std::unique_ptr<Session>> mount(Exported& exported, const MountOptions& options);
  /// Ends the connection, and unmounts where that has not happened yet.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] Workers& workers() { return *workers_; }
  /// The number by which the kernel knows the mount; valid after find_device().
  [[nodiscard]] dev_t device() const { return device_; }
  /// Asks the mount itself, as any user of it would: that it answers is what "ready" means.
  Result<void> find_device();
  /// Whether the mountpoint still leads to this mount.
  [[nodiscard]] bool is_mounted() const;

 private:
  Session(Exported& exported, fuse_session* session) : exported_(exported), session_(session) {}

  Exported& exported_;
  fuse_session* session_;
  std::unique_ptr<Workers> workers_;
  dev_t device_ = 0;
  bool ready_ = false;
};

/// What libfuse is told, as its argument vector; begins with the program's name.
[[nodiscard]] std::vector<std::string> session_arguments(const Exported& exported, const MountOptions& options);

}  // namespace flatimg::flat
