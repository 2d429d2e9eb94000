// Unmounting from within.
#include "fuse/leaving.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "base/log.h"
#include "fuse/mount_table.h"
#include "host/posix_file.h"

namespace flatimg::flat {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kGrace{2000};         // for those who have the flat file open
constexpr milliseconds kConnectionEnd{500};  // from the last close until the kernel has ended the connection
constexpr milliseconds kBetweenLooks{20};

Descriptor open_flat_file(const Exported& exported) {
  return Descriptor(::open(exported.flat_path().c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
}

/// What programs wrote and the kernel still holds comes to us now. An error is kept by the disk and found by its close.
void write_back(const Descriptor& flat_file) {
  if (flat_file.valid() && fsync(flat_file.get()) != 0) {
    log(LogLevel::Error, "{}", system_error(errno, "writing back before the end").text);
  }
}

/// Until nobody but ourselves has the flat file open, or the time is over.
void wait_for_others(Session& session, const Exported& exported, unsigned own_handles) {
  const auto deadline = std::chrono::steady_clock::now() + kGrace;
  while (exported.open_files > own_handles && std::chrono::steady_clock::now() < deadline) {
    if (session.workers().wait_for(kBetweenLooks)) return;
  }
}

/// Detached, with one handle of our own that reaches the kernel's pages to the end.
void detach_and_wait(Session& session, const Exported& exported) {
  Descriptor flat_file = open_flat_file(exported);
  if (auto detached = unmount(exported.mountpoint, Unmount::Lazily); !detached) {
    log(LogLevel::Error, "{}", detached.error().text);
  }
  wait_for_others(session, exported, flat_file.valid() ? 1 : 0);
  write_back(flat_file);
}

}  // namespace

void leave(Session& session, const Exported& exported) {
  if (session.is_mounted()) {
    write_back(open_flat_file(exported));
    if (!unmount(exported.mountpoint, Unmount::Now)) detach_and_wait(session, exported);
  } else {
    wait_for_others(session, exported, 0);  // somebody has detached it before
  }
  if (session.workers().wait_for(kConnectionEnd)) return;
  log(LogLevel::Warning, "{}: files are still open there; they will fail from now on", exported.mountpoint);
  session.workers().stop();
}

}  // namespace flatimg::flat
