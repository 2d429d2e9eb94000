// When metadata is written: by age, by pressure and on demand. What is written, and in which order, is the format's
// work.
//
// Invariants:
//   1. One flush runs at a time. A caller of flush() is served by a flush that began after its call; callers that wait
//      together share one.
//   2. An error of a flush that nobody waited for is kept, and reported by the next flush() exactly once.
//   3. stop() ends the thread; flush() goes on to work in the caller's thread.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <thread>

#include "base/ranked_mutex.h"
#include "base/result.h"

namespace flatimg {

class Flusher {
 public:
  using Work = std::function<Result<void>()>;

  /// `work` writes everything that was waiting when it was called. An interval of zero means: by pressure and on demand
  /// only.
  Flusher(Work work, std::chrono::milliseconds interval);
  ~Flusher() { stop(); }

  /// Starts the background thread. Without it metadata is written on demand only.
  void start();

  /// Everything that was waiting at the time of the call is on stable storage on return. Any thread, no locks held but
  /// the map lock.
  Result<void> flush();

  /// As flush(), for one who only needs room: an error is returned, and left for the next flush() to report as well.
  Result<void> make_room();

  /// Something waits to be written: its age begins to count. Cheap; any thread, any lock below Queue.
  void note_change() {
    if (!waiting_.load(std::memory_order_relaxed) && !waiting_.exchange(true)) begin_age();
  }
  /// Much waits to be written: begin soon, do not wait for it.
  void hurry();

  void stop();

  struct Counts {
    std::uint64_t flushes = 0, background = 0, failures = 0;
    std::uint64_t last_end = 0;           // seconds since 1970; 0: there was none
    std::uint64_t last_microseconds = 0;  // that it took
  };
  [[nodiscard]] Counts counts();

 private:
  void begin_age();
  void background();
  Result<void> join();
  Result<void> run_one(std::uint64_t number);
  void note_end(std::chrono::steady_clock::time_point begin) REQUIRES(mutex_);

  Work work_;
  std::chrono::milliseconds interval_;
  std::atomic<bool> waiting_{false};

  Mutex mutex_{Rank::Queue};
  Condition changed_;
  bool running_ = false;
  bool hurry_ = false;
  bool stopping_ = false;
  std::uint64_t started_ = 0;
  std::uint64_t finished_ = 0;
  std::optional<std::chrono::steady_clock::time_point> oldest_;
  tl::expected<void, Error> last_;
  std::optional<Error> unreported_;
  Counts counts_;
  std::thread thread_;
};

}  // namespace flatimg
