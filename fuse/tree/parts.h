// Partitions of an image as files, while the image is open.
//
// Whoever opens one has a handle of the image as well, and for writing a claim on the range (fuse/write_claims.h). The
// table is read each time: it belongs to whoever writes the disk.
#pragma once

#include <memory>

#include "fuse/disk_replies.h"
#include "fuse/tree/tree.h"
#include "partitions/table.h"

namespace flatimg::flat::tree {

/// The partition table of an image; opens the image for that.
Result<partitions::Table> table_of(Tree& tree, const NodePtr& image);

/// A partition that is open.
class OpenPart {
 public:
  /// NotFound when there is no such partition, Busy when what overlaps it is open for writing.
  static Result<std::unique_ptr<OpenPart>> open(Tree& tree, const NodePtr& node, unsigned number, Access access);
  ~OpenPart();
  OpenPart(const OpenPart&) = delete;
  OpenPart& operator=(const OpenPart&) = delete;

  [[nodiscard]] OpenImage& image() const { return *image_; }
  [[nodiscard]] GuestRange where() const { return claim_.where; }
  [[nodiscard]] Access access() const { return access_; }

  /// Where the kernel may hold the same bytes as pages of the whole disk.
  [[nodiscard]] PageDropper::Pages pages_of_whole(off_t from, std::size_t size) const;

 private:
  OpenPart(Tree& tree, NodePtr node, std::shared_ptr<OpenImage> image, Access access)
      : tree_(tree), node_(std::move(node)), image_(std::move(image)), access_(access) {}
  /// Where the partition is, by the table as it is now.
  [[nodiscard]] Result<GuestRange> find(unsigned number) const;
  Result<void> claim(unsigned number);

  Tree& tree_;
  NodePtr node_;
  std::shared_ptr<OpenImage> image_;
  Access access_;
  WriteClaim claim_;
  bool claimed_ = false;
};

}  // namespace flatimg::flat::tree
