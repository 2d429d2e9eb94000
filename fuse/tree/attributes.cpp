#include "fuse/tree/attributes.h"

#include <unistd.h>

#include <algorithm>

#include "base/checked.h"
#include "catalog/probe.h"

namespace flatimg::flat::tree {

namespace {

constexpr std::uint64_t kStatBlock = 512;

bool may_be_written(const Tree& tree, const KnownKind& kind) {
  if (tree.options.overlay) return true;
  return catalog::is_written_in_place(kind.format);
}

void show_closed_disk(struct stat& status, const KnownKind& kind) {
  status.st_size = static_cast<off_t>(kind.virtual_size.value());
  const auto most = static_cast<blkcnt_t>(ceil_divide(kind.virtual_size.value(), kStatBlock));
  status.st_blocks = std::min(status.st_blocks, most);
}

/// False when the image is not open.
bool show_open_disk(Tree& tree, struct stat& status, const FileKey& key) {
  const auto image = tree.images.find(key);
  if (!image) return false;
  const OpenImage::Use use(*image);
  if (use.disk() == nullptr) return false;
  status.st_size = static_cast<off_t>(use.disk()->size().value());
  status.st_blocks = static_cast<blkcnt_t>(ceil_divide(use.disk()->data_bytes().value(), kStatBlock));
  image->show_times(status);
  return true;
}

void show_owner(const MountOptions& options, struct stat& status, ShownAs shown_as) {
  // Whoever may not write the image may be the one who writes the overlay.
  const bool overlay = options.overlay && shown_as == ShownAs::Disk;
  if (overlay) status.st_mode |= S_IWUSR;
  if (overlay && ::geteuid() != 0) status.st_uid = ::geteuid();
  status.st_uid = options.uid.value_or(status.st_uid);
  status.st_gid = options.gid.value_or(status.st_gid);
  if (!S_ISLNK(status.st_mode)) status.st_mode &= ~options.umask.value_or(0);
}

}  // namespace

Told told(Tree& tree, const Located& located, ShownAs shown_as) {
  Told told{located.seen.status};
  told.status.st_ino = tree.inode_numbers.shown(located.seen.key.device, located.seen.key.inode);
  show_owner(tree.options, told.status, shown_as);
  if (shown_as == ShownAs::ItIs || located.kind.kind == KnownKind::Kind::Broken) return told;
  if (show_open_disk(tree, told.status, located.seen.key)) {
    told.valid = kOpenImageValid;
  } else {
    show_closed_disk(told.status, located.kind);
  }
  if (!may_be_written(tree, located.kind)) told.status.st_mode &= ~mode_t{0222};
  return told;
}

}  // namespace flatimg::flat::tree
