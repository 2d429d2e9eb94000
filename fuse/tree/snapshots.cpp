#include "fuse/tree/snapshots.h"

#include <fcntl.h>

#include <cerrno>
#include <filesystem>

#include "base/text.h"
#include "catalog/describe.h"
#include "fuse/tree/opening.h"

namespace flatimg::flat::tree {

Result<std::vector<SnapshotName>> snapshots_of(Tree& tree, const NodePtr& node) {
  TRY(const ImageInfo info, describe_node(tree, node));
  return names_of(info.snapshots);
}

namespace {

/// The node at a path from SOURCE, as the mount shows it.
Passed<NodePtr> find_node(Tree& tree, const std::string& path) {
  NodePtr node = tree.nodes.root();
  for (const auto& name : std::filesystem::path(path)) {
    if (!S_ISDIR(node->type)) return refused(ENOTDIR);
    PASS(const Located located, locate(tree, *node, name.string()));
    PASS(NodePtr next, enter(tree, node, located));
    tree.nodes.forget(next->number, 1);  // it lives on as long as it is used here
    node = std::move(next);
  }
  return node;
}

Result<void> change_open_image(OpenImage& image, const ImageChange& change) {
  const OpenImage::Use use(image);
  if (use.disk() == nullptr) return fail(ErrorKind::Io, "{}: is not open", shown(image.path()));
  return change(image, *use.disk());
}

}  // namespace

Result<void> change_image(Tree& tree, const std::string& path, const ImageChange& change) {
  if (tree.options.read_only) return fail(ErrorKind::Denied, "{}: is mounted read-only", shown(tree.mountpoint));
  const auto node = find_node(tree, path);
  if (!node) return fail_os(node.error(), "{}", shown(path));
  if ((*node)->shown_as != ShownAs::Disk) {
    return fail(ErrorKind::BadUsage, "{}: name an image of the directory that is mounted", shown(tree.mountpoint));
  }
  TRY(const auto image, open_image_of(tree, *node, Access::ReadWrite));
  auto changed = change_open_image(*image, change);
  image->renew_times();
  tree.images.close((*node)->key, image, Access::ReadWrite);
  return changed;
}

Result<std::unique_ptr<OpenSnapshot>> OpenSnapshot::open(Tree& tree, const NodePtr& node, const std::string& id) {
  TRY(auto image, open_image_of(tree, node, Access::ReadOnly));
  std::unique_ptr<OpenSnapshot> opened(new OpenSnapshot(tree, node, std::move(image)));
  CHECK(opened->image_->snapshot_readers().add());
  opened->counted_ = true;
  catalog::OpenRequest request;
  request.path = source_path(tree, *node);
  request.access = Access::ReadOnly;
  request.snapshot = id;
  request.locks = false;
  TRY(opened->beside_, tree.images.open_beside(std::move(request), file_of(tree, node)));
  return opened;
}

OpenSnapshot::~OpenSnapshot() {
  if (beside_.disk) (void)beside_.disk->close();  // nothing was written
  beside_ = {};
  if (counted_) image_->snapshot_readers().remove();
  tree_.images.close(node_->key, image_, Access::ReadOnly);
}

bool OpenSnapshot::is_protected() { return OpenImage::Use(*image_).disk() != nullptr; }

}  // namespace flatimg::flat::tree
