// Requests about attributes.
//
// Mode, owner and times are those of the file underneath, also of an image, and are set there. The kernel has checked
// before whether the caller may do that (default_permissions), so the helper does it as itself: a write by somebody
// else than the owner clears bits of the mode, too. The size of a disk is set as in the mount of one image.
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>

#include "fuse/flat_file.h"
#include "fuse/tree/handlers.h"
#include "fuse/tree/opening.h"

namespace flatimg::flat::tree::handlers {

namespace {

timespec wanted_time(int which, int set, int now, const timespec& time) {
  if ((which & now) != 0) return {0, UTIME_NOW};
  return (which & set) != 0 ? time : timespec{0, UTIME_OMIT};
}

int set_owner(const Descriptor& file, const struct stat& wanted, int which) {
  constexpr int kOwner = FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID;
  if ((which & kOwner) == 0) return 0;
  const uid_t uid = (which & FUSE_SET_ATTR_UID) != 0 ? wanted.st_uid : static_cast<uid_t>(-1);
  const gid_t gid = (which & FUSE_SET_ATTR_GID) != 0 ? wanted.st_gid : static_cast<gid_t>(-1);
  return ::fchownat(file.get(), "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
}

int set_mode(const Descriptor& file, const struct stat& wanted, int which) {
  if ((which & FUSE_SET_ATTR_MODE) == 0) return 0;
  return ::fchmodat(AT_FDCWD, path_to(file).c_str(), wanted.st_mode & 07777, 0) == 0 ? 0 : errno;
}

int set_times(const Descriptor& file, const struct stat& wanted, int which) {
  constexpr int kTimes = FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW;
  if ((which & kTimes) == 0) return 0;
  const std::array times{wanted_time(which, FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW, wanted.st_atim),
                         wanted_time(which, FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW, wanted.st_mtim)};
  return ::utimensat(file.get(), "", times.data(), AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
}

/// Owner first: changing it clears bits of the mode.
int set_file_attributes(const Descriptor& file, const struct stat& wanted, int which) {
  if (const int failed = set_owner(file, wanted, which)) return failed;
  if (const int failed = set_mode(file, wanted, which)) return failed;
  return set_times(file, wanted, which);
}

int set_file_size(Tree& tree, const Node& node, off_t size, const fuse_file_info* info) {
  if (info != nullptr) {
    const auto* const handle = std::get_if<FileHandle>(&handle_of(*info));
    if (handle == nullptr) return EBADF;
    return ::ftruncate(handle->file.get(), size) == 0 ? 0 : errno;
  }
  const auto pinned = pin(tree, node);
  if (!pinned) return pinned.error();
  return ::truncate(path_to(**pinned).c_str(), size) == 0 ? 0 : errno;
}

/// open(O_TRUNC) comes without a handle and is ignored, and truncate(PATH, 0) with it (see the mount of one image).
Result<void> set_disk_size(Tree& tree, const NodePtr& node, ByteCount size, SizeFrom from) {
  if (is_ignored_truncation(size, from)) return {};
  TRY(const auto image, open_whole(tree, node, Access::ReadWrite));
  Result<void> sized;
  {
    const OpenImage::Use use(*image);
    sized = use.disk() == nullptr ? fail(ErrorKind::Io, "{}: is not open", image->path())
                                  : set_size(*use.disk(), size, growth_of(tree));
  }
  close_whole(tree, node, image, Access::ReadWrite);
  return sized;
}

void reply_attributes(fuse_req_t request, const Node& node) {
  Tree& tree = tree_of(request);
  const auto located = look(tree, node);
  if (!located) return reply_errno(request, located.error());
  const Told attributes = told(tree, *located, node.shown_as);
  fuse_reply_attr(request, &attributes.status, attributes.valid);
}

/// 0 or the errno.
int set_attributes(Tree& tree, const Node& node, const struct stat& wanted, int which) {
  constexpr int kOfFile = FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID | FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_ATIME |
                          FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW;
  if ((which & kOfFile) == 0) return 0;
  if (!tree.source_is_written()) return EROFS;
  const auto pinned = pin(tree, node);
  if (!pinned) return pinned.error();
  const int failed = set_file_attributes(**pinned, wanted, which);
  if (const auto image = tree.images.find(node.key)) image->renew_times();
  return failed;
}

}  // namespace

void getattr(fuse_req_t request, fuse_ino_t number, fuse_file_info* /*info*/) {
  if (FactNodes::has(number)) return getattr_fact(request, number);
  const auto node = node_at(request, number);
  if (!node) return reply_errno(request, node.error());
  reply_attributes(request, **node);
}

void setattr(fuse_req_t request, fuse_ino_t number, struct stat* wanted, int which, fuse_file_info* info) {
  if (FactNodes::has(number)) return setattr_fact(request, number, *wanted, which);
  Tree& tree = tree_of(request);
  const auto node = node_at(request, number);
  if (!node) return reply_errno(request, node.error());
  const bool sizes = (which & FUSE_SET_ATTR_SIZE) != 0;
  if (sizes && (*node)->shown_as == ShownAs::Disk) {
    const SizeFrom from = info != nullptr ? SizeFrom::Handle : SizeFrom::Path;
    const auto sized = set_disk_size(tree, *node, ByteCount(static_cast<std::uint64_t>(wanted->st_size)), from);
    if (!sized) return reply_error(request, sized.error());
    // The times that come with a new size are ours to set, by writing.
    return reply_attributes(request, **node);
  }
  if (sizes) {
    const int failed = tree.source_is_written() ? set_file_size(tree, **node, wanted->st_size, info) : EROFS;
    if (failed != 0) return reply_errno(request, failed);
  }
  if (const int failed = set_attributes(tree, **node, *wanted, which)) return reply_errno(request, failed);
  reply_attributes(request, **node);
}

void statfs(fuse_req_t request, fuse_ino_t number) {
  Tree& tree = tree_of(request);
  NodePtr node = tree.nodes.find(number);
  if (node == nullptr) node = tree.nodes.root();
  const auto pinned = pin(tree, *node);
  struct statvfs result {};
  if (!pinned) return reply_errno(request, pinned.error());
  if (::fstatvfs((*pinned)->get(), &result) != 0) return reply_errno(request, errno);
  fuse_reply_statfs(request, &result);
}

}  // namespace flatimg::flat::tree::handlers
