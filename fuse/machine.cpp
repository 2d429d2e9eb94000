// One function for each finding.
#include "fuse/machine.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "fuse/confine.h"
#include "fuse/fusermount.h"
#include "fuse/kernel_mount.h"
#include "fuse/libfuse.h"
#include "fuse/process.h"

namespace flatimg::flat {

namespace {

namespace fs = std::filesystem;

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// errno of opening; 0 when it can be opened.
int error_of_opening(const char* path, int flags) {
  return Descriptor(::open(path, flags | O_CLOEXEC)).valid() ? 0 : errno;
}

/// A directory that is there while this lives.
class TrialMountpoint {
 public:
  TrialMountpoint() : path_((fs::temp_directory_path() / "flatimg-doctor-XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr) path_.clear();
  }
  ~TrialMountpoint() {
    if (!path_.empty()) (void)::rmdir(path_.c_str());
  }
  TrialMountpoint(const TrialMountpoint&) = delete;
  TrialMountpoint& operator=(const TrialMountpoint&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Finding mounting() {
  Finding finding{"mounting", false, "", ""};
  const TrialMountpoint place;
  if (place.path().empty()) {
    finding.detail = "no directory for a trial can be made in " + fs::temp_directory_path().string();
    finding.way_out = "set TMPDIR to a directory that can be written to";
    return finding;
  }
  KernelMount trial(MountPlan{"flatimg-doctor", place.path(), place.path(), Shape::Directory, MountOptions()});
  const auto connection = trial.make();
  finding.there = connection.has_value();
  finding.detail = connection ? "tried, and unmounted again" : connection.error().text;
  if (connection) (void)unmount(place.path(), Unmount::Lazily);
  if (!connection) finding.way_out = "see fuse-device and fusermount3";
  return finding;
}

Finding fuse_device() {
  const int error = error_of_opening("/dev/fuse", O_RDWR);
  if (error == 0) return {"fuse-device", true, "/dev/fuse", ""};
  std::string way_out = "modprobe fuse; in a container: give it the device /dev/fuse";
  if (error == EACCES || error == EPERM)
    way_out = "chmod 666 /dev/fuse, as udev's rules do; the kernel checks who may mount";
  return {"fuse-device", false, system_error(error, "/dev/fuse").text, way_out};
}

Finding fusermount() {
  const std::string program = path_of_fusermount();
  if (program.empty()) {
    return {"fusermount3", false, "not in $PATH: only root can mount and unmount", "install the package fuse3"};
  }
  struct stat found {};
  const bool setuid = ::stat(program.c_str(), &found) == 0 && (found.st_mode & S_ISUID) != 0 && found.st_uid == 0;
  if (setuid) return {"fusermount3", true, program, ""};
  return {"fusermount3", false, program + " is not setuid root: only root can mount and unmount",
          "install the package fuse3 again, or chmod u+s " + program};
}

Finding allow_other() {
  std::ifstream file("/etc/fuse.conf");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("user_allow_other")) return {"allow-other", true, "for every user", ""};
  }
  return {"allow-other", false, "for root only", "a line user_allow_other in /etc/fuse.conf lets everybody use it"};
}

/// A line for each of the two, "yes..." or why not, from a child that has confined itself.
std::vector<Finding> sandbox() {
  const auto answer = ask_child([] {
    const Confinement made = confine({});
    std::string missing;
    for (const std::string& why : made.missing) missing += (missing.empty() ? "" : "; ") + why;
    return fmt::format("{}{}{}", static_cast<char>('a' + made.landlock), made.system_calls ? 'y' : 'n', missing);
  });
  if (!answer || answer->size() < 2) {
    return {{"landlock", false, "a process that tried died", ""}, {"seccomp", false, "a process that tried died", ""}};
  }
  const int version = (*answer)[0] - 'a';
  const std::string why = answer->substr(2);
  std::string detail = version > 0 ? fmt::format("version {}", version) : why;
  if (version == 1) detail += ", which is too old for mounts of directories (Linux 5.19)";
  Finding landlock{"landlock", version > 0, std::move(detail), ""};
  if (version == 0)
    landlock.way_out = "a kernel with CONFIG_SECURITY_LANDLOCK, and landlock in lsm= of its command line";
  Finding seccomp{"seccomp", (*answer)[1] == 'y', (*answer)[1] == 'y' ? "filters can be set" : why, ""};
  if (!seccomp.there)
    seccomp.way_out = "a kernel with CONFIG_SECCOMP_FILTER; in a container: a profile that permits seccomp(2)";
  return {landlock, seccomp};
}

Finding user_namespaces() {
  const auto answer = ask_child([] { return std::to_string(::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 ? 0 : errno); });
  if (answer == "0")
    return {"user-namespaces", true, "unshare -Urm mounts without fusermount3, where /dev/fuse is open to all", ""};
  const int error = answer ? std::atoi(answer->c_str()) : EPERM;
  return {"user-namespaces", false, system_error(error, "unshare").text,
          "sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, "
          "kernel.apparmor_restrict_unprivileged_userns"};
}

Finding io_uring_transport() {
  const std::string enabled = first_line("/sys/module/fuse/parameters/enable_uring");
  if (!kLibraryHasUring) {
    return {"io-uring", false, fmt::format("built with libfuse {}; 3.18 can do it", fuse_pkgversion()), ""};
  }
  if (enabled.empty()) return {"io-uring", false, "this kernel has no FUSE over io_uring (Linux 6.14 or newer)", ""};
  if (enabled == "Y") return {"io-uring", true, "io=uring", ""};
  return {"io-uring", false, "switched off in the kernel", "echo Y > /sys/module/fuse/parameters/enable_uring"};
}

Finding loop_devices() {
  const int error = error_of_opening("/dev/loop-control", O_RDWR);
  if (error == 0) return {"loop-devices", true, "/dev/loop-control", ""};
  return {"loop-devices", false, system_error(error, "/dev/loop-control").text,
          error == ENOENT ? "modprobe loop" : "as root, or as a member of the group disk"};
}

}  // namespace

Machine examine_machine() {
  Machine machine;
  machine.findings = {mounting(), fuse_device(), fusermount(), allow_other()};
  for (Finding& finding : sandbox()) machine.findings.push_back(std::move(finding));
  for (const auto& examine : {user_namespaces, io_uring_transport, loop_devices}) machine.findings.push_back(examine());
  machine.can_mount = machine.findings.front().there;
  return machine;
}

}  // namespace flatimg::flat
