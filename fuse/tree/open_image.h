// One image of the tree while handles of its flat file are open: one disk, whoever opened it and by whichever name.
//
//   state    | handle opened        | for writing, the disk is not  | last handle closed | request
//   ---------+----------------------+-------------------------------+--------------------+-----------------
//   Closed   | -> Changing -> Open  |                               |                    | EIO
//   Open     | shares the disk      | -> Changing -> Open (writing) | -> Changing -> ... | uses the disk
//   Changing | waits                | waits                         |                    | waits
//
// A disk that is open for reading becomes one for writing by being closed and opened again, because locks and files are
// others then; requests wait meanwhile, and those that are under way are waited for. When that fails it is opened for
// reading again. Writing lasts until the last handle is closed.
//
// Invariant: mutex_ is not held while an image is opened, closed, read or written; `uses_` and `changing_` do that
// work.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/ranked_mutex.h"
#include "catalog/open.h"
#include "fuse/snapshot_readers.h"
#include "fuse/write_claims.h"
#include "view/disk.h"
#include "view/disk_audit.h"

namespace flatimg::flat::tree {

class OpenImage {
 public:
  struct Opened {
    std::unique_ptr<Disk> disk;
    std::string format;
    std::vector<std::string> notes;
  };
  /// Opens the image; called without a lock held, by one thread at a time.
  using Open = std::function<Result<Opened>(Access)>;

  OpenImage(std::string path, Open open) : path_(std::move(path)), open_(std::move(open)) {}

  /// Adds a handle. Busy when somebody else has the image, Denied when it cannot be written, ReadOnly when it is not
  /// written any more.
  Result<void> add_handle(Access access) EXCLUDES(mutex_);
  /// Takes one away. The last one closes the image: its error is that of the last flush.
  Result<void> remove_handle(Access access) EXCLUDES(mutex_);
  /// The mount ends: closes the image whatever handles there are.
  Result<void> close() EXCLUDES(mutex_);

  /// The disk, kept open as it is while this lives.
  class Use {
   public:
    explicit Use(OpenImage& image) : image_(image), disk_(image.begin_use()) {}
    ~Use() { image_.end_use(); }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    /// nullptr when the image could not be opened again, or the mount is ending.
    [[nodiscard]] Disk* disk() const { return disk_; }

   private:
    OpenImage& image_;
    Disk* disk_;
  };

  struct Facts {
    std::string path;
    std::string format;
    unsigned handles = 0;
    unsigned writers = 0;
    bool writable = false;
    std::optional<std::string> corruption;
    Counters counters;
  };
  [[nodiscard]] Facts facts() EXCLUDES(mutex_);
  /// A step of looking for contradictions, if the image is open for writing; false when there is nothing to look at. By
  /// one thread; whoever opens or closes the image waits for the step and no longer.
  bool audit_step(DiskAudit::Clock::time_point now) EXCLUDES(mutex_);
  [[nodiscard]] bool has_handles() const EXCLUDES(mutex_);

  // Times as they are shown: those of the file at the last renewal.
  void renew_times() EXCLUDES(mutex_);
  void show_times(struct stat& status) EXCLUDES(mutex_);

  [[nodiscard]] const std::string& path() const { return path_; }
  /// Which parts of the disk are open for writing, by handles of this image.
  [[nodiscard]] WriteClaims& claims() { return claims_; }
  [[nodiscard]] SnapshotReaders& snapshot_readers() { return snapshot_readers_; }

 private:
  Disk* begin_use() EXCLUDES(mutex_);
  void end_use() EXCLUDES(mutex_);
  void begin_change() EXCLUDES(mutex_);
  void end_change() EXCLUDES(mutex_);
  [[nodiscard]] bool serves(Access access) const { return disk_ && (access == Access::ReadOnly || disk_->writable()); }
  /// Adds a handle if the disk serves it as it is.
  bool share(Access access) EXCLUDES(mutex_);
  void count(Access access) REQUIRES(mutex_);
  Result<void> check_sound();
  Result<void> open_for(Access access);
  Result<void> take(Result<Opened> opened);
  Result<void> close_disk();

  const std::string path_;
  const Open open_;
  WriteClaims claims_;
  SnapshotReaders snapshot_readers_;
  mutable Mutex mutex_{Rank::Queue};
  Condition changed_;
  bool changing_ GUARDED_BY(mutex_) = false;
  unsigned uses_ GUARDED_BY(mutex_) = 0;
  unsigned handles_ GUARDED_BY(mutex_) = 0;
  unsigned writers_ GUARDED_BY(mutex_) = 0;
  struct Times {
    timespec modified{};
    timespec changed{};
  };
  std::optional<Times> times_ GUARDED_BY(mutex_);  // nullopt: the next stat() renews them
  // Changed by whoever has set changing_, read by those who are counted in uses_.
  std::unique_ptr<Disk> disk_;
  std::string format_;
  std::unique_ptr<DiskAudit> audit_;  // of disk_; made by the one who audits it
};

}  // namespace flatimg::flat::tree
