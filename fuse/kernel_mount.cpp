// mount(2), umount2(2) and files of the mount itself.
#include "fuse/kernel_mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/log.h"
#include "base/text.h"
#include "fuse/detached_mount.h"
#include "fuse/fusermount.h"
#include "fuse/handed_connection.h"

namespace flatimg::flat {

namespace {

struct KernelWord {
  std::string_view word;
  unsigned long flag;
};
constexpr std::array<KernelWord, 4> kKernelWords{
    {{"sync", MS_SYNCHRONOUS}, {"dirsync", MS_DIRSYNC}, {"noatime", MS_NOATIME}, {"nodiratime", MS_NODIRATIME}}};

unsigned long flags_of(const MountOptions& options) {
  unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (options.read_only) flags |= MS_RDONLY;
  for (const auto& [word, flag] : kKernelWords) {
    if (std::ranges::find(options.kernel_words, word) != options.kernel_words.end()) flags |= flag;
  }
  return flags;
}

/// What both ways of mounting say in the same words.
std::string common_words(const MountOptions& options) {
  std::string words = "default_permissions";
  if (options.allow_other) words += ",allow_other";
  if (options.max_read) words += fmt::format(",max_read={}", *options.max_read);
  return words;
}

std::string words_for_fusermount(const MountPlan& plan) {
  const MountOptions& options = plan.options;
  std::string words = common_words(options) + ",nosuid,nodev,noexec";
  if (options.read_only) words += ",ro";
  for (const std::string& word : options.kernel_words) words += "," + word;
  words += ",fsname=" + escaped_for_list(options.fsname.value_or(plan.source));
  return words + ",subtype=" + escaped_for_list(options.subtype.value_or("flatimg"));
}

Result<struct stat> look_at(const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return fail_os(errno, "{}", shown(path));
  return found;
}

/// The connection, or none where this process may not do it: then fusermount3 may. Everything else is an error.
Result<Descriptor> mount_by_ourselves(const MountPlan& plan) {
  Descriptor connection(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!connection.valid() && (errno == EACCES || errno == EPERM)) return Descriptor();
  if (!connection.valid()) return fail_os(errno, "/dev/fuse (modprobe fuse?)");
  TRY(const struct stat place, look_at(plan.mountpoint));
  const std::string type = "fuse." + plan.options.subtype.value_or("flatimg");
  const std::string data = fmt::format("fd={},rootmode={:o},user_id={},group_id={},{}", connection.get(),
                                       place.st_mode & S_IFMT, geteuid(), getegid(), common_words(plan.options));
  const std::string source = plan.options.fsname.value_or(plan.source);
  if (::mount(source.c_str(), plan.mountpoint.c_str(), type.c_str(), flags_of(plan.options), data.c_str()) == 0) {
    return connection;
  }
  if (errno == EPERM) return Descriptor();
  return fail_os(errno, "mount(2)");
}

Result<Descriptor> connect(const MountPlan& plan) {
  TRY(Descriptor connection, mount_by_ourselves(plan));
  if (connection.valid()) return connection;
  return mount_with_fusermount(plan.mountpoint, words_for_fusermount(plan));
}

}  // namespace

Result<Descriptor> KernelMount::make_detached() {
  TRY(DetachedMount made, make_detached_mount(plan_.source, plan_.options));
  root_ = std::move(made.root);
  device_ = made.device;
  return std::move(made.connection);
}

Result<Descriptor> KernelMount::make() {
  if (plan_.loop) return make_detached();
  if (plan_.handed) return take_handed(*plan_.handed);
  auto connection = connect(plan_);
  if (!connection) {
    const std::string why = std::move(connection.error().text);
    const bool explained = !plan_.options.allow_other || geteuid() == 0 || why.find("fuse.conf") != std::string::npos;
    return fail(ErrorKind::Denied, "mounting on {}: {}{}", shown(plan_.mountpoint), why,
                explained ? "" : ". allow_other needs the line user_allow_other in /etc/fuse.conf");
  }
  const auto entry = mount_at(plan_.mountpoint);
  if (!entry) return fail(ErrorKind::Io, "mounting on {}: it is not in the mount table", shown(plan_.mountpoint));
  device_ = makedev(entry->device_major, entry->device_minor);
  return connection;
}

Result<void> KernelMount::must_answer() const {
  if (plan_.handed) return {};  // where it is, is known to whoever mounted it
  if (!plan_.loop) CHECK(look_at(plan_.mountpoint));
  CHECK(look_at(flat_path()));
  return {};
}

Result<void> KernelMount::attach_loop() {
  if (!plan_.loop) return {};
  TRY(loop_, LoopDevice::attach(flat_path(), *plan_.loop));
  return {};
}

std::string KernelMount::flat_path() const {
  return plan_.loop ? fmt::format("/proc/self/fd/{}/{}", root_.get(), plan_.flat_path) : plan_.flat_path;
}

bool KernelMount::is_there() const {
  if (plan_.loop) return root_.valid();
  const auto entry = mount_at(plan_.mountpoint);
  return device_ != 0 && entry && makedev(entry->device_major, entry->device_minor) == device_;
}

Descriptor KernelMount::open_flat_file() const {
  return Descriptor(::open(flat_path().c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
}

Result<void> KernelMount::write_back() const {
  const Descriptor flat_file = open_flat_file();
  if (flat_file.valid() && fsync(flat_file.get()) == 0) return {};
  return fail_os(errno, "writing back {}", shown(flat_path()));
}

Result<void> KernelMount::correct_size(ByteCount size) const {
  TRY(const struct stat found, look_at(flat_path()));
  if (found.st_dev != device_) return {};  // it is ours no longer
  if (::truncate(flat_path().c_str(), static_cast<off_t>(size.value())) == 0) return {};
  return fail_os(errno, "{}: correcting the size", shown(flat_path()));
}

/// The kernel ends the connection when the device's last user has gone.
void KernelMount::let_go() {
  loop_.release();
  root_ = Descriptor();
}

KernelMount::Left KernelMount::leave() {
  if (plan_.handed) return Left::NotOurs;
  if (!is_there()) return Left::NotThere;
  loop_.release();  // what the device holds goes to the flat file first
  handle_ = open_flat_file();
  if (const auto done = write_back_detached(); !done) log(LogLevel::Error, "{}", done.error().text);
  if (plan_.loop) return let_go(), Left::Detached;
  if (unmount(plan_.mountpoint, Unmount::Now)) return Left::Unmounted;
  handle_ = open_flat_file();
  if (auto detached = unmount(plan_.mountpoint, Unmount::Lazily); !detached) {
    log(LogLevel::Error, "{}", detached.error().text);
  }
  return Left::Detached;
}

// An error is kept by the disk as well, and found by its close.
Result<void> KernelMount::write_back_detached() {
  if (!handle_.valid()) return {};
  const Descriptor flat_file = std::move(handle_);
  if (fsync(flat_file.get()) == 0) return {};
  return fail_os(errno, "writing back before the end");
}

// The number may be another mount's by now, which then answers.
void KernelMount::clear() {
  if (plan_.loop) return let_go();
  if (plan_.handed || !is_there() || !is_dead_mount(plan_.mountpoint)) return;
  if (auto done = unmount(plan_.mountpoint, Unmount::Lazily); !done) log(LogLevel::Error, "{}", done.error().text);
}

}  // namespace flatimg::flat
