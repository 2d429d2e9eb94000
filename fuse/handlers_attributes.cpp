// Requests about attributes.
//
// What can be set: times, always, in memory; the size, when the mount is growable. Mode and owner are those of the
// mount (uid=, gid=, umask=): setting what is already there succeeds, so that cp -p and tar do not complain without
// need, anything else is EPERM, which they know how to take.
#include <cerrno>

#include "fuse/facts.h"
#include "fuse/handlers.h"

namespace flatimg::flat::handlers {

namespace {

constexpr std::uint64_t kStatfsBlock = 4096;

bool changes_ownership(const Attributes& now, const struct stat& wanted, int which) {
  return ((which & FUSE_SET_ATTR_MODE) != 0 && (wanted.st_mode & 07777) != now.flat_mode()) ||
         ((which & FUSE_SET_ATTR_UID) != 0 && wanted.st_uid != now.uid()) ||
         ((which & FUSE_SET_ATTR_GID) != 0 && wanted.st_gid != now.gid());
}

void set_times(Attributes& attributes, const struct stat& wanted, int which) {
  const std::int64_t now = now_in_nanoseconds();
  if ((which & FUSE_SET_ATTR_ATIME) != 0) attributes.set_access_time(nanoseconds(wanted.st_atim));
  if ((which & FUSE_SET_ATTR_ATIME_NOW) != 0) attributes.set_access_time(now);
  if ((which & FUSE_SET_ATTR_MTIME) != 0) attributes.set_write_time(nanoseconds(wanted.st_mtim));
  if ((which & FUSE_SET_ATTR_MTIME_NOW) != 0) attributes.set_write_time(now);
  attributes.set_change_time((which & FUSE_SET_ATTR_CTIME) != 0 ? nanoseconds(wanted.st_ctim) : now);
}

Result<void> resize(Exported& exported, ByteCount size, SizeFrom from) {
  if (is_ignored_truncation(size, from)) return {};
  if (size == exported.disk.size()) return {};
  CHECK(exported.claims.add({}));
  const auto sized = set_size(exported.disk, size, growth_of(exported));
  exported.claims.remove({});
  if (sized) exported.attributes.touch();
  return sized;
}

}  // namespace

struct stat stat_of(const Exported& exported, Node node) {
  struct stat result {};
  if (node == Node::Flat) {
    result = exported.attributes.flat_file(exported.disk.size(), exported.disk.data_bytes());
  } else if (Names::is_directory(node)) {
    result = exported.attributes.directory(exported.names.links(node));
  } else {
    result = exported.attributes.fact(ByteCount(fact_text(exported, node).size()));
  }
  result.st_ino = exported.names.number_of(node);
  return result;
}

struct stat stat_to_keep(Exported& exported, Node node) {
  const struct stat result = stat_of(exported, node);
  if (node == Node::Flat) exported.told_blocks = result.st_blocks;
  return result;
}

void getattr(fuse_req_t request, fuse_ino_t number, fuse_file_info* /*handle*/) {
  if (tree::FactNodes::has(number)) return getattr_fact(request, number);
  Exported& exported = exported_by(request);
  const auto node = exported.names.find(number);
  if (!node) return void(fuse_reply_err(request, ESTALE));
  const struct stat result = stat_to_keep(exported, *node);
  fuse_reply_attr(request, &result, kAttributesValid);
}

void setattr(fuse_req_t request, fuse_ino_t number, struct stat* wanted, int which, fuse_file_info* handle) {
  if (tree::FactNodes::has(number)) return setattr_fact(request, number, *wanted, which);
  Exported& exported = exported_by(request);
  const auto node = exported.names.find(number);
  if (!node) return void(fuse_reply_err(request, ESTALE));
  if (*node != Node::Flat || changes_ownership(exported.attributes, *wanted, which)) {
    return void(fuse_reply_err(request, EPERM));
  }
  if ((which & FUSE_SET_ATTR_SIZE) != 0) {
    const SizeFrom from = handle != nullptr ? SizeFrom::Handle : SizeFrom::Path;
    const auto sized = resize(exported, ByteCount(static_cast<std::uint64_t>(wanted->st_size)), from);
    if (!sized) return reply_error(request, sized.error());
  }
  set_times(exported.attributes, *wanted, which);
  const struct stat result = stat_of(exported, *node);
  fuse_reply_attr(request, &result, kAttributesValid);
}

void statfs(fuse_req_t request, fuse_ino_t /*number*/) {
  Exported& exported = exported_by(request);
  const std::uint64_t size = exported.disk.size().value();
  const std::uint64_t data = std::min(exported.disk.data_bytes().value(), size);
  struct statvfs result {};
  result.f_bsize = result.f_frsize = kStatfsBlock;
  result.f_blocks = size / kStatfsBlock;
  result.f_bfree = result.f_bavail = (size - data) / kStatfsBlock;
  result.f_files = static_cast<fsfilcnt_t>(exported.names.shape() == Shape::File ? Node::Root : Node::Info);
  result.f_namemax = 255;
  fuse_reply_statfs(request, &result);
}

}  // namespace flatimg::flat::handlers
