#include "fuse/tree/snapshots.h"

#include <fcntl.h>

#include <algorithm>

#include "catalog/describe.h"
#include "fuse/tree/opening.h"

namespace flatimg::flat::tree {

namespace {

constexpr std::size_t kLongestName = 255;

bool can_be_a_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.size() <= kLongestName &&
         name.find_first_of(std::string("/\0", 2)) == std::string::npos;
}

void add_name(std::vector<SnapshotName>& names, const SnapshotInfo& snapshot) {
  const auto taken = [&](const std::string& name) {
    return std::ranges::find(names, name, &SnapshotName::name) != names.end();
  };
  for (const std::string& name : {snapshot.name, snapshot.id}) {
    if (can_be_a_name(name) && !taken(name)) return names.push_back({name, snapshot.id});
  }
}

}  // namespace

Result<std::vector<SnapshotName>> snapshots_of(Tree& tree, const NodePtr& node) {
  TRY(const ImageInfo info, describe_node(tree, node));
  std::vector<SnapshotName> names;
  for (const SnapshotInfo& snapshot : info.snapshots) add_name(names, snapshot);
  return names;
}

Result<std::unique_ptr<OpenSnapshot>> OpenSnapshot::open(Tree& tree, const NodePtr& node, const std::string& id) {
  TRY(auto image, open_image_of(tree, node, Access::ReadOnly));
  std::unique_ptr<OpenSnapshot> opened(new OpenSnapshot(tree, node, std::move(image)));
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
  tree_.images.close(node_->key, image_, Access::ReadOnly);
}

bool OpenSnapshot::is_protected() { return OpenImage::Use(*image_).disk() != nullptr; }

}  // namespace flatimg::flat::tree
