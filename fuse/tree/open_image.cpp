#include "fuse/tree/open_image.h"

#include "base/log.h"
#include "base/text.h"

namespace flatimg::flat::tree {

Disk* OpenImage::begin_use() {
  const MutexLock lock(mutex_);
  while (changing_) changed_.wait(mutex_);
  ++uses_;
  return disk_.get();
}

void OpenImage::end_use() {
  const MutexLock lock(mutex_);
  if (--uses_ == 0 && changing_) changed_.notify_all();
}

void OpenImage::begin_change() {
  const MutexLock lock(mutex_);
  while (changing_) changed_.wait(mutex_);
  changing_ = true;
  while (uses_ > 0) changed_.wait(mutex_);
}

void OpenImage::end_change() {
  const MutexLock lock(mutex_);
  changing_ = false;
  changed_.notify_all();
}

Result<void> OpenImage::take(Result<Opened> opened) {
  if (!opened) return Failure(std::move(opened.error()));
  for (const std::string& note : opened->notes) log(LogLevel::Warning, "{}", note);
  disk_ = std::move(opened->disk);
  format_ = std::move(opened->format);
  return {};
}

Result<void> OpenImage::close_disk() {
  if (!disk_) return {};
  audit_.reset();
  Result<void> closed = disk_->close();
  disk_.reset();
  return closed;
}

// A disk that was only read has nothing to lose when it is closed.
Result<void> OpenImage::open_for(Access access) {
  const bool was_open = disk_ != nullptr;
  CHECK(close_disk());
  auto opened = take(open_(access));
  if (opened || !was_open) return opened;
  if (const auto again = take(open_(Access::ReadOnly)); !again) {
    log(LogLevel::Error, "{}: those who read it get errors from now on: {}", shown(path_), again.error().text);
  }
  return opened;
}

void OpenImage::count(Access access) {
  ++handles_;
  if (access == Access::ReadWrite) ++writers_;
}

bool OpenImage::share(Access access) {
  const MutexLock lock(mutex_);
  while (changing_) changed_.wait(mutex_);
  if (!serves(access)) return false;
  count(access);
  return true;
}

// One that was found to be corrupt while it was written is not opened anew for others who want to write.
Result<void> OpenImage::check_sound() {
  const Use use(*this);
  if (use.disk() == nullptr || !use.disk()->writable()) return {};
  return use.disk()->accepts_writers();
}

Result<void> OpenImage::add_handle(Access access) {
  if (access == Access::ReadWrite) CHECK(check_sound());
  if (share(access)) return {};
  begin_change();
  Result<void> opened = serves(access) ? Result<void>() : open_for(access);
  if (opened) {
    const MutexLock lock(mutex_);
    count(access);
  }
  end_change();
  return opened;
}

Result<void> OpenImage::remove_handle(Access access) {
  {
    const MutexLock lock(mutex_);
    if (access == Access::ReadWrite) --writers_;
    if (--handles_ > 0) return {};
  }
  begin_change();
  const Result<void> closed = has_handles() ? Result<void>() : close_disk();  // somebody may have come meanwhile
  end_change();
  return closed;
}

Result<void> OpenImage::close() {
  begin_change();
  Result<void> closed = close_disk();
  end_change();
  return closed;
}

bool OpenImage::has_handles() const {
  const MutexLock lock(mutex_);
  return handles_ > 0;
}

void OpenImage::renew_times() {
  const MutexLock lock(mutex_);
  times_.reset();
}

void OpenImage::show_times(struct stat& status) {
  const MutexLock lock(mutex_);
  if (!times_) times_ = Times{status.st_mtim, status.st_ctim};
  status.st_mtim = times_->modified;
  status.st_ctim = times_->changed;
}

bool OpenImage::audit_step(DiskAudit::Clock::time_point now) {
  const Use use(*this);
  if (use.disk() == nullptr || !use.disk()->writable()) return false;
  if (!audit_) audit_ = std::make_unique<DiskAudit>(*use.disk());
  return audit_->step(now) != DiskAudit::Step::Nothing;
}

OpenImage::Facts OpenImage::facts() {
  const Use use(*this);
  Facts facts;
  facts.path = path_;
  facts.format = format_;
  if (use.disk() != nullptr) {
    facts.writable = use.disk()->writable();
    facts.corruption = use.disk()->corruption();
    facts.counters = use.disk()->counters();
  }
  const MutexLock lock(mutex_);
  facts.handles = handles_;
  facts.writers = writers_;
  return facts;
}

}  // namespace flatimg::flat::tree
