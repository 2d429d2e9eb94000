// An open file or folder of .flatimg/, in the mount of one image.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fuse/exported.h"
#include "fuse/image_folder.h"

namespace flatimg::flat {

struct FactHandle {
  explicit FactHandle(Exported& of) : exported(of) {}
  ~FactHandle() {
    if (claimed) exported.claims.remove(*part);
    if (snapshot) (void)snapshot->close();  // nothing was written
    snapshot.reset();
    if (reads_snapshot) exported.snapshot_readers.remove();
  }
  FactHandle(const FactHandle&) = delete;
  FactHandle& operator=(const FactHandle&) = delete;

  Exported& exported;
  std::string text;               // as it was when it was opened
  std::vector<FolderItem> items;  // the same for a folder
  std::optional<WriteClaim> part;
  bool claimed = false;            // the partition is open for writing
  std::unique_ptr<Disk> snapshot;  // a disk of its own
  bool reads_snapshot = false;
};

}  // namespace flatimg::flat
