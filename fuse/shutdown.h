// SIGTERM, SIGINT and SIGHUP end a mount cleanly; the kernel's unmount does as well.
//
//   state      | umount by anybody         | first signal                    | further signals
//   -----------+---------------------------+---------------------------------+----------------
//   Opening    | -                         | the process ends, exit 1        | -
//   Serving    | workers end -> Closing    | -> Leaving                      | -
//   Leaving    | workers end -> Closing    | -                               | ignored
//   Closing    | -                         | ignored: the last flush goes on | ignored
//
// Leaving runs on the thread that got the signal, while the workers go on serving. What takes the rights of the mounter
// (1, 2, 3) is done by the supervisor:
//   1. The kernel's dirty pages are written back through the mount (fsync of the flat file).
//   2. It is unmounted. When nobody has it open that is all: the kernel ends the connection.
//   3. Else it is detached, so that nobody new comes, and those who are there get a short time to finish.
//   4. The kernel's pages once more; then the workers finish what they have taken and stop.
// The kernel sends SIGTERM when the supervisor dies. Then the workers fetch the kernel's pages and stop.
// In every case Disk::close() follows, on the main thread (serve.cpp).
#pragma once

#include <optional>
#include <thread>

#include "base/ranked_mutex.h"
#include "fuse/errands.h"
#include "fuse/session.h"

namespace flatimg::flat {

class Shutdown {
 public:
  /// Takes over the signals. Every thread that is to be spared them is started afterwards.
  Shutdown();
  ~Shutdown();
  Shutdown(const Shutdown&) = delete;
  Shutdown& operator=(const Shutdown&) = delete;

  /// Mounting begins: a signal is kept until serving() or closing().
  void mounting() EXCLUDES(mutex_);
  void serving(Session& session, const Mounted& mounted, Errands& errands) EXCLUDES(mutex_);
  /// Waits until leaving, if it was under way, is done with the session.
  void closing() EXCLUDES(mutex_);

 private:
  enum class State { Opening, Mounting, Serving, Leaving, Closing };
  void watch();
  void asked_to_end() EXCLUDES(mutex_);
  struct Served {
    Session* session;
    const Mounted* mounted;
    Errands* errands;
  };
  /// What to leave, for the one who may do it.
  [[nodiscard]] std::optional<Served> begin_leaving() EXCLUDES(mutex_);

  Mutex mutex_{Rank::Session};
  Condition changed_;
  State state_ GUARDED_BY(mutex_) = State::Opening;
  Served served_ GUARDED_BY(mutex_){};
  std::thread thread_;
};

}  // namespace flatimg::flat
