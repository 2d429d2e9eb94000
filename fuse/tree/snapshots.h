// Internal snapshots of an image as read-only disks, also while the disk itself is written.
//
// Whoever opens a snapshot has a handle of the image as well: the image's own lock keeps all others from changing or
// deleting the snapshot, and this helper deletes none while one is open. What a snapshot refers to is never
// overwritten, so a second look at the file needs no lock of its own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fuse/image_folder.h"
#include "fuse/tree/tree.h"

namespace flatimg::flat::tree {

/// None for images that have none.
Result<std::vector<SnapshotName>> snapshots_of(Tree& tree, const NodePtr& node);

/// Has the image at this path of the mount changed by a function, open for writing meanwhile. The last error of closing
/// it is the mount's.
using ImageChange = std::function<Result<void>(OpenImage& image, Disk& disk)>;
Result<void> change_image(Tree& tree, const std::string& path, const ImageChange& change);

/// A snapshot that is open.
class OpenSnapshot {
 public:
  static Result<std::unique_ptr<OpenSnapshot>> open(Tree& tree, const NodePtr& node, const std::string& id);
  ~OpenSnapshot();
  OpenSnapshot(const OpenSnapshot&) = delete;
  OpenSnapshot& operator=(const OpenSnapshot&) = delete;

  [[nodiscard]] Disk& disk() { return *beside_.disk; }
  /// False when somebody else may have changed the image meanwhile.
  [[nodiscard]] bool is_protected();

 private:
  OpenSnapshot(Tree& tree, NodePtr node, std::shared_ptr<OpenImage> image)
      : tree_(tree), node_(std::move(node)), image_(std::move(image)) {}
  Tree& tree_;
  NodePtr node_;
  std::shared_ptr<OpenImage> image_;
  OpenImages::Beside beside_;
  bool counted_ = false;  // among the readers of the image's snapshots
};

}  // namespace flatimg::flat::tree
