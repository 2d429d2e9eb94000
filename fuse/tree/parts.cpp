#include "fuse/tree/parts.h"

#include <algorithm>

#include "base/text.h"
#include "fuse/tree/opening.h"

namespace flatimg::flat::tree {

namespace {

Result<partitions::Table> table_in(OpenImage& image) {
  const OpenImage::Use use(image);
  if (use.disk() == nullptr) return fail(ErrorKind::Io, "{}: is not open", shown(image.path()));
  return partitions::read_table(*use.disk());
}

}  // namespace

Result<partitions::Table> table_of(Tree& tree, const NodePtr& image) {
  TRY(const auto opened, open_image_of(tree, image, Access::ReadOnly));
  auto table = table_in(*opened);
  tree.images.close(image->key, opened, Access::ReadOnly);
  return table;
}

Result<GuestRange> OpenPart::find(unsigned number) const {
  TRY(const partitions::Table table, table_in(*image_));
  const auto found = std::ranges::find(table.partitions, number, &partitions::Partition::number);
  if (found != table.partitions.end()) return found->where;
  return fail(ErrorKind::NotFound, "{}: has no partition {}", shown(image_->path()), number);
}

// The table may be changed by whoever writes the whole disk until the claim keeps him out: so it is read once more.
Result<void> OpenPart::claim(unsigned number) {
  CHECK(image_->claims().add(claim_));
  claimed_ = true;
  TRY(const GuestRange now, find(number));
  if (now == claim_.where) return {};
  return fail(ErrorKind::Busy, "{}: the partition table is being changed", shown(image_->path()));
}

Result<std::unique_ptr<OpenPart>> OpenPart::open(Tree& tree, const NodePtr& node, unsigned number, Access access) {
  TRY(auto image, open_image_of(tree, node, access));
  std::unique_ptr<OpenPart> part(new OpenPart(tree, node, std::move(image), access));
  TRY(const GuestRange where, part->find(number));
  part->claim_ = {number, where};
  if (access == Access::ReadWrite) CHECK(part->claim(number));
  return part;
}

OpenPart::~OpenPart() {
  if (claimed_) image_->claims().remove(claim_);
  image_->renew_times();
  tree_.images.close(node_->key, image_, access_);
}

PageDropper::Pages OpenPart::pages_of_whole(off_t from, std::size_t size) const {
  const auto number = tree_.nodes.number_of(node_->key).value_or(0);
  return {number, static_cast<off_t>(where().begin.value()) + from, static_cast<off_t>(std::max<std::size_t>(size, 1))};
}

}  // namespace flatimg::flat::tree
