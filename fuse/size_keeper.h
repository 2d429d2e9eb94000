// Keeps the kernel's idea of the size of the flat file right where the kernel writes back late.
//
// There the kernel owns the size: a write beyond the end of the disk makes the file longer in its eyes, long before the
// page comes to us and is refused. The one way to correct it is to truncate the file through the mount, as any program
// could; the kernel then asks us, is told the size as it is, and believes it. That blocks on requests which workers
// have to answer, so it needs a thread of its own.
#pragma once

#include <functional>
#include <thread>

#include "base/ranked_mutex.h"
#include "view/disk.h"

namespace flatimg::flat {

class SizeKeeper {
 public:
  explicit SizeKeeper(const Disk& disk) : disk_(disk) {}
  /// The connection has ended by now: a truncation that was under way has failed.
  ~SizeKeeper() EXCLUDES(mutex_);
  SizeKeeper(const SizeKeeper&) = delete;
  SizeKeeper& operator=(const SizeKeeper&) = delete;

  /// `correct_to` truncates the flat file through the mount, which may take as long as the kernel likes.
  using Correction = std::function<Result<void>(ByteCount size)>;
  void start(Correction correct_to);
  /// A write beyond the end was refused. Never waits.
  void correct() EXCLUDES(mutex_);

 private:
  void run(const Correction& correct_to) EXCLUDES(mutex_);

  const Disk& disk_;
  Mutex mutex_{Rank::Session};
  Condition changed_;
  bool wrong_ GUARDED_BY(mutex_) = false;
  bool ending_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace flatimg::flat
