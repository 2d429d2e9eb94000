#include "mount/mounted_image.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "support/soon.h"

namespace flatimg::test {

namespace fs = std::filesystem;

std::string why_no_mounts() {
  if (::geteuid() != 0) return "not root";
  if (::access("/dev/fuse", R_OK | W_OK) != 0) return "/dev/fuse cannot be opened";
  if (!has_program("qemu-img")) return "qemu-img is not installed";
  return {};
}

std::string why_no_loop_devices() {
  if (auto why = why_no_mounts(); !why.empty()) return why;
  const auto free_device = run({"losetup", "-f"});
  return free_device.exit_code == 0 ? std::string() : "no loop device: " + free_device.output;
}

Finished flatimg(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), FLATIMG_PROGRAM);
  return run(arguments);
}

Finished shell(const std::string& script) {
  return run({"bash", "-euo", "pipefail", "-c", "FLATIMG='" FLATIMG_PROGRAM "'\n" + script});
}

MountedImage::MountedImage(const std::string& image, const std::string& mountpoint, std::vector<std::string> options)
    : image_(image), mountpoint_(mountpoint) {
  std::vector<std::string> arguments{"mount"};
  for (const auto& option : options) arguments.insert(arguments.end(), {"-o", option});
  arguments.insert(arguments.end(), {image, mountpoint});
  flat_ = fs::is_directory(mountpoint) ? mountpoint + "/" + fs::path(image).filename().string() : mountpoint;
  const auto outcome = flatimg(arguments);
  mounted_ = outcome.exit_code == 0;
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
}

MountedImage::~MountedImage() {
  if (!mounted_) return;
  const int pid = daemon();
  (void)::umount2(mountpoint_.c_str(), MNT_DETACH);
  if (pid > 0) (void)::kill(pid, SIGKILL);
}

namespace {

/// The processes of a mount: their command line ends with the mountpoint.
std::vector<int> processes_of(const std::string& mountpoint) {
  std::vector<int> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::error_code error;
    if (fs::read_symlink(entry.path() / "exe", error) != fs::path(FLATIMG_PROGRAM)) continue;
    const std::string line = contents_of((entry.path() / "cmdline").string());
    if (line.find(mountpoint + '\0') != std::string::npos) found.push_back(std::stoi(name));
  }
  return found;
}

int parent_of(int process) {
  std::istringstream status(contents_of("/proc/" + std::to_string(process) + "/status"));
  for (std::string word; status >> word;) {
    if (word == "PPid:" && status >> word) return std::stoi(word);
  }
  return 0;
}

}  // namespace

int MountedImage::daemon() const {
  const auto all = processes_of(mountpoint_);
  for (const int process : all) {
    if (std::find(all.begin(), all.end(), parent_of(process)) != all.end()) return process;
  }
  return 0;
}

int MountedImage::supervisor() const {
  const auto all = processes_of(mountpoint_);
  for (const int process : all) {
    if (std::find(all.begin(), all.end(), parent_of(process)) == all.end()) return process;
  }
  return 0;
}

Finished MountedImage::unmount() {
  auto outcome = flatimg({"umount", mountpoint_});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  if (outcome.exit_code == 0) mounted_ = false;
  return outcome;
}

void MountedImage::clear_dead_mount() {
  (void)::umount2(mountpoint_.c_str(), MNT_DETACH);
  mounted_ = false;
}

LoopDevice::LoopDevice(const std::string& file, std::vector<std::string> options) {
  std::vector<std::string> command{"losetup", "-f", "--show"};
  command.insert(command.end(), options.begin(), options.end());
  command.push_back(file);
  const auto outcome = run(command);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  if (outcome.exit_code == 0) path_ = outcome.output.substr(0, outcome.output.find('\n'));
  attached_ = attachment();
}

// While somebody else looks at the device, for instance for a free one, losetup -d only asks for its end.
LoopDevice::~LoopDevice() {
  if (path_.empty()) return;
  (void)run({"losetup", "-d", path_});
  (void)soon([&] { return attachment() != attached_; });
}

std::string LoopDevice::attachment() const {
  const std::string device = "/sys/block/" + fs::path(path_).filename().string();
  return contents_of(device + "/loop/backing_file") + contents_of(device + "/diskseq");
}

}  // namespace flatimg::test
