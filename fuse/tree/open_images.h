// The images that are open, by file: opened with the first handle, closed with the last one.
//
// An image is found by its file (device and inode), so two hard links are one disk. The file is opened by whoever knows
// where it is (a function), locked by the catalog, and what it names is opened through the one gate of the mount.
#pragma once

#include <map>
#include <optional>
#include <unordered_map>

#include "fuse/options.h"
#include "fuse/tree/beneath.h"
#include "fuse/tree/budget.h"
#include "fuse/tree/open_image.h"

namespace flatimg::flat::tree {

class OpenImages {
 public:
  using OpenFile = std::function<Result<std::unique_ptr<HostFile>>(Access)>;

  OpenImages(Gate gate, const MountOptions& options, std::shared_ptr<const Secret> passphrase);

  struct Wanted {
    FileKey key;
    std::string path;                    // absolute: for messages, and for names relative to it
    std::optional<std::string> overlay;  // where writes go instead
    OpenFile open_file;                  // of the image itself
    Access access = Access::ReadOnly;
  };
  /// A handle of the image; opened when this is the first. Limit when too many images are open.
  Result<std::shared_ptr<OpenImage>> open(const Wanted& wanted) EXCLUDES(mutex_);
  /// Another disk of an image that is open: `request` says which, without a lock of its own.
  struct Beside {
    std::shared_ptr<const void> share;  // of the budget: goes after the disk
    std::unique_ptr<Disk> disk;
  };
  Result<Beside> open_beside(catalog::OpenRequest request, const OpenFile& open_file);
  /// The handle is closed. What went wrong with the last flush is logged, and kept for last_failures().
  void close(const FileKey& key, const std::shared_ptr<OpenImage>& image, Access access) EXCLUDES(mutex_);

  /// The image while it is open; nullptr otherwise.
  [[nodiscard]] std::shared_ptr<OpenImage> find(const FileKey& key) const EXCLUDES(mutex_);
  [[nodiscard]] std::vector<std::shared_ptr<OpenImage>> all() const EXCLUDES(mutex_);

  /// Flushes every image; the first error.
  Result<void> flush_all() EXCLUDES(mutex_);
  /// The mount ends. The first error of any close since it began.
  Result<void> close_all() EXCLUDES(mutex_);
  /// By path: why the last flush of an image failed.
  [[nodiscard]] std::map<std::string, std::string> last_failures() const EXCLUDES(mutex_);

 private:
  [[nodiscard]] std::shared_ptr<OpenImage> find_or_add(const Wanted& wanted) EXCLUDES(mutex_);
  [[nodiscard]] OpenImage::Open opener(const Wanted& wanted);
  void drop_if_closed(const FileKey& key) EXCLUDES(mutex_);
  void note_failure(const std::string& path, const Error& error) EXCLUDES(mutex_);

  const Gate gate_;
  const MountOptions& options_;
  const std::shared_ptr<const Secret> passphrase_;
  std::shared_ptr<Budget> budget_;
  mutable Mutex mutex_{Rank::Queue};
  struct Entry {
    std::shared_ptr<OpenImage> image;
    unsigned wanted = 0;  // handles, and those who are about to have one
  };
  std::unordered_map<FileKey, Entry, HashOfKey> images_ GUARDED_BY(mutex_);
  std::map<std::string, std::string> failures_ GUARDED_BY(mutex_);
};

}  // namespace flatimg::flat::tree
