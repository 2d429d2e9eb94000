// Mounts by the hundred, one after another, of every shape and with every end: nothing is left of any of them.
//
// FLATIMG_MOUNTS chooses how many.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <iterator>
#include <sstream>

#include "mount/mounted_image.h"
#include "soak/process_look.h"
#include "support/figures.h"
#include "support/from_environment.h"
#include "support/soon.h"

namespace flatimg::test {
namespace {

namespace fs = std::filesystem;

class ManyMounts : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    fs::create_directory(dir_ / "source");
    fs::create_directory(dir_ / "mnt");
    dir_.write("flat", "");
    ASSERT_EQ(run({"qemu-img", "create", "-q", "-f", "qcow2", image_, "16M"}).exit_code, 0);
  }

  void TearDown() override {
    for (const int process : attached_processes()) ::kill(process, SIGKILL);
  }

  [[nodiscard]] std::vector<int> attached_processes() const {
    std::istringstream lines(run({"pgrep", "-f", "attach " + image_}).output);
    return {std::istream_iterator<int>(lines), std::istream_iterator<int>()};
  }

  // Each shape as often as the others.
  [[nodiscard]] std::pair<std::string, std::string> source_and_mountpoint(std::uint64_t n) const {
    switch (n % 5) {
      case 0:
        return {image_, dir_ / "mnt"};
      case 1:
        return {image_, dir_ / "flat"};
      case 2:
        return {image_, image_};
      case 3:
        return {dir_ / "source", dir_ / "mnt"};
      default:
        return {dir_ / "source", dir_ / "source"};
    }
  }

  // In turn, whatever the shape: there are five of those and four of these.
  static void end(MountedImage& mounted, const std::string& mountpoint, std::uint64_t n) {
    if (n % 4 == 1) {
      EXPECT_EQ(run({"umount", mountpoint}).exit_code, 0);
    } else if (n % 4 == 2) {
      EXPECT_EQ(run({"fusermount3", "-u", mountpoint}).exit_code, 0);
    } else if (n % 4 == 3) {
      ::kill(n % 8 == 3 ? mounted.supervisor() : mounted.daemon(), SIGTERM);
    } else {
      mounted.unmount();
    }
  }

  void mount_use_and_unmount(std::uint64_t n) {
    const auto [source, mountpoint] = source_and_mountpoint(n);
    const std::string flat = fs::is_directory(mountpoint) ? mountpoint + "/disk.qcow2" : mountpoint;
    MountedImage mounted(source, mountpoint);
    ASSERT_TRUE(mounted.mounted());
    const std::string socket = socket_of(mountpoint);
    const std::string made = shell("stat -c '%i %z' " + socket).output;  // the number may be another's later
    EXPECT_EQ(contents_of(flat).substr(0, 12), n == 0 ? std::string(12, '\0') : written(n - 1)) << "mount " << n;
    expect_writes(flat, written(n));
    end(mounted, mountpoint, n);
    EXPECT_TRUE(soon([&] { return mounted.daemon() == 0 && mounted.supervisor() == 0; })) << "mount " << n;
    EXPECT_NE(shell("stat -c '%i %z' " + socket).output, made) << socket;
    EXPECT_FALSE(is_mounted()) << "mount " << n;
    if (!HasFailure()) mounted.clear_dead_mount();
  }

  static std::string written(std::uint64_t n) { return fmt::format("mount {:6}", n); }
  static void expect_writes(const std::string& flat, const std::string& text) {
    const int fd = ::open(flat.c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(fd, 0) << flat;
    EXPECT_EQ(::pwrite(fd, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    EXPECT_EQ(::close(fd), 0);
  }
  [[nodiscard]] static std::string socket_of(const std::string& mountpoint) {
    struct stat status {};
    EXPECT_EQ(::stat(mountpoint.c_str(), &status), 0);
    return fmt::format("/run/flatimg/{}-{}.sock", major(status.st_dev), minor(status.st_dev));
  }
  [[nodiscard]] bool is_mounted() const {
    return contents_of("/proc/self/mountinfo").find(dir_.path().string()) != std::string::npos;
  }

  TempDir dir_;
  std::string image_ = dir_ / "source/disk.qcow2";
};

TEST_F(ManyMounts, LeaveNothingBehind) {
  const std::uint64_t mounts = from_environment("FLATIMG_MOUNTS", 100);
  const std::uint64_t descriptors = descriptors_of(::getpid());
  for (std::uint64_t n = 0; n < mounts && !HasFailure(); ++n) mount_use_and_unmount(n);
  EXPECT_EQ(descriptors_of(::getpid()), descriptors);
  EXPECT_EQ(run({"qemu-img", "check", "-q", image_}).exit_code, 0);
  std::vector<std::string> left;
  for (const auto& entry : fs::directory_iterator(dir_ / "source")) left.push_back(entry.path().filename());
  EXPECT_EQ(left, std::vector<std::string>{"disk.qcow2"});
  add_figure("mounts and unmounts", mounts);
}

TEST_F(ManyMounts, LeaveNoLoopDeviceBehind) {
  if (const auto why = why_no_loop_devices(); !why.empty()) GTEST_SKIP() << why;
  const std::uint64_t mounts = from_environment("FLATIMG_MOUNTS", 100) / 8;
  for (std::uint64_t n = 0; n < mounts && !HasFailure(); ++n) {
    const auto attached = shell("d=$($FLATIMG attach " + image_ + "); echo $d; printf " + std::to_string(1000 + n) +
                                " | dd of=$d conv=notrunc,fsync status=none");
    ASSERT_EQ(attached.exit_code, 0) << attached.output;
    if (n % 2 == 0) {
      EXPECT_EQ(flatimg({"detach", attached.output.substr(0, attached.output.find('\n'))}).exit_code, 0);
    } else {
      for (const int process : attached_processes()) ::kill(process, SIGTERM);
    }
    EXPECT_TRUE(soon([&] { return attached_processes().empty(); })) << n;
    EXPECT_EQ(shell("losetup -n -O BACK-FILE | grep -F " + image_).exit_code, 1);
  }
  EXPECT_EQ(run({"qemu-img", "check", "-q", image_}).exit_code, 0);
  EXPECT_EQ(shell("qemu-img convert -O raw " + image_ + " " + (dir_ / "raw") + "; head -c 4 " + (dir_ / "raw")).output,
            std::to_string(1000 + mounts - 1));
  add_figure("loop devices attached and detached", mounts);
}

}  // namespace
}  // namespace flatimg::test
