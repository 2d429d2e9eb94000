// The file of an image that is mounted, looked at once more: for what is told of it, and for its snapshots. The mount
// may hide its path by then, so the file is held by a descriptor (O_PATH) from before the mount, and so are the
// directories of what it names.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/secret.h"
#include "fuse/options.h"
#include "host/gate.h"
#include "host/posix_file.h"
#include "image/report.h"
#include "view/disk.h"

namespace flatimg::flat {

class SecondLook {
 public:
  /// At the image that the mount writes, or would: the overlay where there is one. Before the mount. `passphrase` is
  /// that of an encrypted image; null: there is nothing to decipher.
  static Result<SecondLook> at(const std::string& source, const MountOptions& options,
                               std::shared_ptr<const Secret> passphrase);

  /// What the image says of itself; takes no lock.
  [[nodiscard]] Result<ImageInfo> describe() const;
  /// A snapshot as a disk of its own. It takes no lock: the mount has one, and what a snapshot refers to is never
  /// overwritten.
  [[nodiscard]] Result<std::unique_ptr<Disk>> open_snapshot(const std::string& id) const;

  /// What images name is not looked for on our own mount.
  void refuse_device(std::uint64_t device) { gate_.refuse_device(device); }

 private:
  struct Held {
    std::string path;  // absolute
    Descriptor file;
  };
  static Result<Held> hold(const std::string& path);
  [[nodiscard]] Result<std::unique_ptr<HostFile>> open(const std::string& path) const;

  SecondLook(Held image, Gate gate, std::shared_ptr<const Secret> passphrase)
      : image_(std::move(image)), passphrase_(std::move(passphrase)), gate_(std::move(gate)) {}
  Held image_;
  std::shared_ptr<const Secret> passphrase_;
  std::optional<Held> backing_;  // backing=
  Gate gate_;
};

}  // namespace flatimg::flat
