// Drops pages of a file from the kernel's cache, for requests that must not be answered before: those on a partition,
// whose bytes the kernel may also hold as pages of the whole disk.
//
// A notice to the kernel waits for pages that are being read or written back, which takes workers. So it must not come
// from one: a thread of its own sends it, and answers the request afterwards.
//
// Invariant: every answer is given, also when the connection has ended meanwhile.
#pragma once

#include <sys/types.h>

#include <deque>
#include <functional>
#include <thread>

#include "base/ranked_mutex.h"

struct fuse_session;

namespace flatimg::flat {

class PageDropper {
 public:
  PageDropper() = default;
  ~PageDropper() { stop(); }
  PageDropper(const PageDropper&) = delete;
  PageDropper& operator=(const PageDropper&) = delete;

  struct Pages {
    std::uint64_t inode = 0;
    off_t from = 0;
    off_t size = 0;
  };
  /// Before the first request on a partition, by a thread that acts for nobody.
  void start(fuse_session* session);
  /// Writes these pages back where somebody has written to them, drops them, and then answers. Before start(), and
  /// after stop(), only answers.
  void drop(const Pages& pages, std::function<void()> answer) EXCLUDES(mutex_);
  /// Answers what is left and ends.
  void stop() EXCLUDES(mutex_);

 private:
  struct Task {
    Pages pages;
    std::function<void()> answer;
  };
  void run() EXCLUDES(mutex_);
  void do_task(const Task& task) const;

  fuse_session* session_ = nullptr;
  Mutex mutex_{Rank::Queue};
  Condition changed_;
  bool running_ GUARDED_BY(mutex_) = false;
  std::deque<Task> tasks_ GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace flatimg::flat
