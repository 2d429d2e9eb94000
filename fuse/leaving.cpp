// Unmounting from within, by errands.
#include "fuse/leaving.h"

#include <chrono>

#include "base/log.h"

namespace flatimg::flat {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kGrace{2000};         // for those who have the flat file open
constexpr milliseconds kConnectionEnd{500};  // from the last close until the kernel has ended the connection
constexpr milliseconds kBetweenLooks{20};

/// Until nobody but ourselves has the flat file open, or the time is over.
void wait_for_others(Session& session, const Mounted& mounted, unsigned own_handles) {
  const auto deadline = std::chrono::steady_clock::now() + kGrace;
  while (mounted.open_files > own_handles && std::chrono::steady_clock::now() < deadline) {
    if (session.workers().wait_for(kBetweenLooks)) return;
  }
}

void say_if_failed(const Result<void>& outcome) {
  if (!outcome) log(LogLevel::Error, "{}", outcome.error().text);
}

/// Nobody can unmount for us: the kernel's pages come here as far as they can, then the connection is closed.
void leave_alone(Session& session, const Mounted& mounted) {
  log(LogLevel::Error, "{}: the supervisor of this mount is gone; the image is closed", mounted.mountpoint);
  session.fetch_pages();
  session.workers().stop();
}

}  // namespace

void leave(Session& session, const Mounted& mounted, Errands& errands) {
  const auto left = errands.leave();
  if (!left) return leave_alone(session, mounted);
  if (left->how == KernelMount::Left::NotOurs) session.fetch_pages();
  if (left->how != KernelMount::Left::Unmounted) wait_for_others(session, mounted, left->handles);
  if (left->how == KernelMount::Left::Detached) say_if_failed(errands.write_back_detached());
  if (session.workers().wait_for(kConnectionEnd)) return;
  log(LogLevel::Warning, "{}: files are still open there; they will fail from now on", mounted.mountpoint);
  session.workers().stop();
}

}  // namespace flatimg::flat
