// One connection to the kernel: libfuse's session on a descriptor that the supervisor has mounted, and its threads.
//
// Invariant: whatever path leads out, the connection is closed, and the kernel ends what still waits for an answer.
#pragma once

#include <memory>

#include "fuse/mounted.h"
#include "fuse/workers.h"
#include "host/posix_file.h"

namespace flatimg::flat {

class Session {
 public:
  /// Starts the workers on a connection. `mounted` outlives the session.
  static Result<std::unique_ptr<Session>> start(Mounted& mounted, const MountOptions& options, Descriptor connection);
  /// Stops the workers and ends the connection.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] Workers& workers() { return *workers_; }
  /// Brings what the kernel has not written back yet here, without a file of the mount. Workers must be serving.
  void fetch_pages();

 private:
  Session(Mounted& mounted, fuse_session* session) : mounted_(mounted), session_(session) {}

  Mounted& mounted_;
  fuse_session* session_;
  std::unique_ptr<Workers> workers_;
};

/// libfuse can do what the options ask for: known before anything is mounted.
Result<void> check_transport(Transport transport);

}  // namespace flatimg::flat
