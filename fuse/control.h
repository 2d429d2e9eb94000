// The control socket of a mount: what `flatimg status`, `flatimg umount` and `flatimg snapshot` talk to.
//
// A client sends one request and a line end:
//   status                 the text of stats.json comes back
//   wait                   "waiting" comes back; when the image is final one more line, "ok" or what went wrong
//   snapshot-create NAME   (and, behind a NUL, the path of the image in a mount of a directory:) what programs have
//   written is written back and flushed, then an internal snapshot is taken;
//                          "ok" or what went wrong comes back
//   snapshot-delete NAME   the snapshot of this name, or else ID, is deleted; the same answers
// Then the connection ends.
//
// One thread serves it, one request after the other. Clients are the mounter himself or root (the folder is closed to
// others) and are few.
//
// Invariant: mutex_ is never held while waiting for the kernel (or an errand), which may wait for workers that have
// ended, nor while an image is changed: end_changes() waits for that, so that the image is not closed meanwhile.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/ranked_mutex.h"
#include "fuse/errands.h"
#include "fuse/mounted.h"
#include "host/posix_file.h"

namespace flatimg::flat {

class Control {
 public:
  /// Serves a listening socket.
  Control(Mounted& mounted, Errands& errands, Descriptor socket);
  ~Control();
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  /// From now on the image is not changed any more; waits for a change that is under way.
  void end_changes() EXCLUDES(mutex_);
  /// From now on the disk is not looked at any more.
  void forget_disk() EXCLUDES(mutex_);
  /// Tells everybody who waits, and ends.
  void finish(const Result<void>& outcome) EXCLUDES(mutex_);

 private:
  struct Client {
    Descriptor connection;
    std::string request;  // what came so far
    bool waits = false;
    bool done = false;
  };
  void serve();
  void accept_client();
  void hear(Client& client);
  void answer(Client& client);
  [[nodiscard]] std::string status() EXCLUDES(mutex_);
  [[nodiscard]] Result<void> create_snapshot(const std::string& name, const std::string& path) EXCLUDES(mutex_);
  [[nodiscard]] Result<void> delete_snapshot(const std::string& name, const std::string& path) EXCLUDES(mutex_);
  Result<void> change(const std::function<Result<void>(Mounted&)>& change) EXCLUDES(mutex_);
  void tell_waiting();

  Errands& errands_;
  Descriptor socket_;
  Descriptor wake_up_;
  std::vector<Client> clients_;
  Mutex mutex_{Rank::Session};
  Mounted* mounted_ GUARDED_BY(mutex_);
  Condition changed_;
  bool changing_ GUARDED_BY(mutex_) = false;  // the image
  bool changes_ended_ GUARDED_BY(mutex_) = false;
  std::string outcome_ GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace flatimg::flat
