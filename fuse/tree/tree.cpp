// Opening a directory of images, and what the control socket asks of it.
#include "fuse/tree/tree.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/text.h"
#include "fuse/mount_table.h"
#include "fuse/tree/caller.h"
#include "fuse/tree/facts.h"
#include "fuse/tree/operations.h"
#include "fuse/tree/snapshots.h"

namespace flatimg::flat::tree {

namespace {

bool lies_beneath(const std::string& path, const std::string& directory) {
  return directory == "/" || path == directory || path.starts_with(directory + "/");
}

Result<void> must_suit_a_directory(const MountOptions& options) {
  const auto refuse = [](std::string_view word) {
    return fail(ErrorKind::BadUsage, "option {}: it is about one image, and SOURCE is a directory", word);
  };
  if (options.format) return refuse("format");
  if (options.backing) return refuse("backing");
  if (options.snapshot) return refuse("snapshot");
  if (!options.pieces.empty()) return refuse("pieces");
  return {};
}

Result<std::string> overlay_directory(const std::string& given, const std::string& source,
                                      const std::string& mountpoint) {
  TRY(std::string path, canonical_mountpoint(given));
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return fail_os(errno, "overlay {}", shown(given));
  if (!S_ISDIR(found.st_mode)) {
    return fail(ErrorKind::BadUsage, "overlay {}: for a directory of images it is a directory", shown(given));
  }
  if (lies_beneath(path, source) || lies_beneath(path, mountpoint)) {
    return fail(ErrorKind::BadUsage,
                "overlay {}: it must not lie in the directory that is mounted, or on its mountpoint", shown(given));
  }
  return path;
}

/// One descriptor for each directory that the kernel knows, and some for each open file.
void allow_many_descriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

Result<std::unique_ptr<Mounted>> open_tree(const std::string& source, const std::string& mountpoint,
                                           const MountOptions& options, std::shared_ptr<const Secret> passphrase) {
  CHECK(must_suit_a_directory(options));
  TRY(const std::string path, canonical_mountpoint(source));
  if (path != mountpoint && lies_beneath(mountpoint, path)) {
    return fail(ErrorKind::BadUsage,
                "{}: lies in {}, so the mount would contain itself: mount it elsewhere, or over it", shown(mountpoint),
                shown(path));
  }
  MountOptions given = options;
  if (options.overlay) {
    TRY(given.overlay, overlay_directory(*options.overlay, path, mountpoint));
  }
  TRY(Gate gate, Gate::around(path, options.allowed_directories));
  gate.refuse_links_that_leave();
  Descriptor directory(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return fail_os(errno, "{}", shown(path));
  const auto seen = see(directory);
  if (!seen) return fail_os(seen.error(), "{}", shown(path));
  allow_many_descriptors();
  remember_own_groups();
  ::umask(0);  // that of the caller has been applied by the kernel
  auto tree =
      std::make_unique<Tree>(std::move(directory), *seen, std::move(gate), std::move(given), std::move(passphrase));
  tree->source = path;
  tree->mountpoint = mountpoint;
  return std::unique_ptr<Mounted>(std::move(tree));
}

const fuse_lowlevel_ops& Tree::operations() const { return tree::operations(); }

std::string Tree::status() const { return stats_json(*this); }

namespace {

/// Of the first image that wants one.
bool audit_step(const OpenImages& images) {
  const auto now = DiskAudit::Clock::now();
  return std::ranges::any_of(images.all(), [&](const auto& image) { return image->audit_step(now); });
}

}  // namespace

void Tree::answers(dev_t device, Errands& /*errands*/) {
  own_device = device;
  page_dropper.start(session);
  if (options.audit && !options.read_only) idle_audit.start(counters, [this] { return audit_step(images); });
}

Result<void> Tree::close() {
  idle_audit.stop();
  page_dropper.stop();
  return images.close_all();
}

Result<void> Tree::create_snapshot(const std::string& path, std::string name) {
  return change_image(*this, path, [&](OpenImage& /*image*/, Disk& disk) {
    return disk.create_snapshot(snapshot_now(std::move(name)));
  });
}

Result<void> Tree::delete_snapshot(const std::string& path, const std::string& name_or_id) {
  return change_image(*this, path, [&](OpenImage& image, Disk& disk) {
    return image.snapshot_readers().when_unread([&] { return disk.delete_snapshot(name_or_id); });
  });
}

}  // namespace flatimg::flat::tree
