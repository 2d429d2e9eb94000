// The threads that serve a connection. Each takes a request, does all that it asks for and answers, then takes the
// next: nothing is handed over between threads.
//
// Invariants:
//   1. A request that was taken is answered before its thread ends.
//   2. Stopping costs running threads nothing: they are blocked in read() on the connection and are woken by a signal
//      whose handler does nothing; it is sent until each has noticed, so that none can miss it.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "base/ranked_mutex.h"

struct fuse_session;

namespace flatimg::flat {

class Workers {
 public:
  /// Starts the threads.
  Workers(fuse_session* session, unsigned threads);
  /// Stops and joins them.
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  /// Until the kernel has ended the connection or stop() was called.
  void wait() EXCLUDES(mutex_);
  /// The same with a limit; false when they are still running then.
  [[nodiscard]] bool wait_for(std::chrono::milliseconds limit) EXCLUDES(mutex_);
  /// Lets the threads finish what they have taken and end. Returns when they have.
  void stop() EXCLUDES(mutex_);

 private:
  void serve();

  fuse_session* session_;
  std::atomic<bool> stopping_{false};
  Mutex mutex_{Rank::Session};
  Condition ended_;
  unsigned running_ GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace flatimg::flat
