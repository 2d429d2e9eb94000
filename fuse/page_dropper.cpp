#include "fuse/page_dropper.h"

#include <cerrno>

#include "base/log.h"
#include "base/result.h"
#include "fuse/libfuse.h"

namespace flatimg::flat {

void PageDropper::start(fuse_session* session) {
  session_ = session;
  {
    const MutexLock lock(mutex_);
    running_ = true;
  }
  thread_ = std::thread([this] { run(); });
}

void PageDropper::drop(const Pages& pages, std::function<void()> answer) {
  {
    const MutexLock lock(mutex_);
    if (running_) {
      tasks_.push_back({pages, std::move(answer)});
      changed_.notify_all();
      return;
    }
  }
  answer();
}

void PageDropper::stop() {
  {
    const MutexLock lock(mutex_);
    running_ = false;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void PageDropper::run() {
  for (;;) {
    Task task;
    {
      const MutexLock lock(mutex_);
      while (tasks_.empty() && running_) changed_.wait(mutex_);
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    do_task(task);
  }
}

/// ENOENT: the kernel has no such file in its cache, and so no pages of it.
void PageDropper::do_task(const Task& task) const {
  const int failed = fuse_lowlevel_notify_inval_inode(session_, task.pages.inode, task.pages.from, task.pages.size);
  if (failed != 0 && failed != -ENOENT) {
    log(LogLevel::Debug, "{}", system_error(-failed, "dropping pages of the whole disk").text);
  }
  task.answer();
}

}  // namespace flatimg::flat
