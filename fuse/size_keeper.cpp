// The thread that truncates the flat file to the size that it has.
#include "fuse/size_keeper.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/log.h"
#include "base/result.h"

namespace flatimg::flat {

namespace {

void truncate_if_same_mount(const std::string& path, dev_t device, ByteCount size) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0 || found.st_dev != device) return;
  if (::truncate(path.c_str(), static_cast<off_t>(size.value())) != 0) {
    log(LogLevel::Warning, "{}", system_error(errno, path + ": correcting the size").text);
  }
}

}  // namespace

SizeKeeper::~SizeKeeper() {
  if (!thread_.joinable()) return;
  {
    const MutexLock lock(mutex_);
    ending_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void SizeKeeper::start(std::string path, dev_t device) {
  thread_ = std::thread([this, path = std::move(path), device] { run(path, device); });
}

void SizeKeeper::correct() {
  const MutexLock lock(mutex_);
  wrong_ = true;
  changed_.notify_all();
}

void SizeKeeper::run(const std::string& path, dev_t device) {
  for (;;) {
    {
      const MutexLock lock(mutex_);
      while (!wrong_ && !ending_) changed_.wait(mutex_);
      if (ending_) return;
      wrong_ = false;
    }
    truncate_if_same_mount(path, device, disk_.size());
  }
}

}  // namespace flatimg::flat
