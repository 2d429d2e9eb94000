#include "fuse/detached_mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"

namespace flatimg::flat {

namespace {

Result<void> say(const Descriptor& context, const char* name, const std::string& value) {
  if (fsconfig(context.get(), FSCONFIG_SET_STRING, name, value.c_str(), 0) == 0) return {};
  return fail_os(errno, "fsconfig(2): {}={}", name, value);
}

Result<void> say(const Descriptor& context, const char* name) {
  if (fsconfig(context.get(), FSCONFIG_SET_FLAG, name, nullptr, 0) == 0) return {};
  return fail_os(errno, "fsconfig(2): {}", name);
}

/// Answered from what the kernel made up for the root: nobody serves yet.
Result<dev_t> device_of(const Descriptor& root) {
  struct statx found {};
  if (statx(root.get(), "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &found) != 0) {
    return fail_os(errno, "statx(2) of a new mount");
  }
  return makedev(found.stx_dev_major, found.stx_dev_minor);
}

}  // namespace

Result<DetachedMount> make_detached_mount(const std::string& source, const MountOptions& options) {
  if (geteuid() != 0) {
    return fail(ErrorKind::Denied, "{}: only root makes loop devices: flatimg mount shows the disk as a file",
                shown(source));
  }
  DetachedMount made;
  made.connection = Descriptor(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!made.connection.valid()) return fail_os(errno, "/dev/fuse (modprobe fuse?)");
  const Descriptor context(fsopen("fuse", FSOPEN_CLOEXEC));
  if (!context.valid()) return fail_os(errno, "making a mount without a place (fsopen(2))");
  CHECK(say(context, "source", options.fsname.value_or(source)));
  CHECK(say(context, "subtype", options.subtype.value_or("flatimg")));
  CHECK(say(context, "fd", std::to_string(made.connection.get())));
  CHECK(say(context, "rootmode", "40000"));
  CHECK(say(context, "user_id", std::to_string(geteuid())));
  CHECK(say(context, "group_id", std::to_string(getegid())));
  CHECK(say(context, "default_permissions"));
  if (options.max_read) CHECK(say(context, "max_read", std::to_string(*options.max_read)));
  if (fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return fail_os(errno, "fsconfig(2)");
  const unsigned attributes =
      MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | (options.read_only ? MOUNT_ATTR_RDONLY : 0);
  made.root = Descriptor(fsmount(context.get(), FSMOUNT_CLOEXEC, attributes));
  if (!made.root.valid()) return fail_os(errno, "fsmount(2)");
  TRY(made.device, device_of(made.root));
  return made;
}

}  // namespace flatimg::flat
