// flatimg attach and detach: a loop device in one step, and nothing left of it whatever happens.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "mount/mounted_image.h"
#include "support/soon.h"

namespace flatimg::test {
namespace {

std::string without_line_end(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

class Attach : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    if (const auto why = why_no_loop_devices(); !why.empty()) GTEST_SKIP() << why;
    ASSERT_EQ(run({"qemu-img", "create", "-q", "-f", "qcow2", image_, "64M"}).exit_code, 0);
  }
  void TearDown() override {
    if (device_.empty() || !is_attached()) return;
    (void)shell("umount " + device_ + " || true");
    (void)flatimg({"detach", device_});
    for (const int process : processes()) ::kill(process, SIGKILL);
  }

  void attach(std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.begin(), "attach");
    arguments.push_back(image_);
    const Finished attached = flatimg(arguments);
    ASSERT_EQ(attached.exit_code, 0) << attached.output;
    device_ = without_line_end(attached.output);
    ASSERT_EQ(device_.rfind("/dev/loop", 0), 0u) << device_;
  }
  [[nodiscard]] bool is_attached() const {
    return shell("losetup -n -O BACK-FILE " + device_ + " | grep -qF " + name_).exit_code == 0;
  }
  /// The two processes of the helper: they have the image in their command line.
  [[nodiscard]] std::vector<int> processes() const {
    std::vector<int> found;
    std::istringstream lines(run({"pgrep", "-f", "attach.*" + image_}).output);
    for (int process = 0; lines >> process;) found.push_back(process);
    return found;
  }
  void expect_nothing_left() {
    EXPECT_TRUE(soon([&] { return !is_attached(); })) << device_;
    EXPECT_TRUE(soon([&] { return processes().empty(); }));
    EXPECT_EQ(shell("grep -F " + dir_.path().string() + " /proc/self/mountinfo").exit_code, 1);
    const Finished check = run({"qemu-img", "check", image_});
    EXPECT_TRUE(check.exit_code == 0 || check.exit_code == 3) << check.output;
  }
  [[nodiscard]] std::string first_bytes(std::size_t count) const {
    const std::string raw = dir_ / "raw";
    EXPECT_EQ(run({"qemu-img", "convert", "-O", "raw", image_, raw}).exit_code, 0);
    return contents_of(raw).substr(0, count);
  }
  void write_to_device(const std::string& text) {
    EXPECT_EQ(shell("printf " + text + " | dd status=none conv=notrunc of=" + device_).exit_code, 0);
  }

  TempDir dir_;
  // Of this test alone: once the device is free it may be another one's, and is known by what it shows.
  std::string name_ = dir_.path().filename().string() + ".qcow2";
  std::string image_ = dir_ / name_;
  std::string device_;
};

TEST_F(Attach, PrintsALoopDeviceAndDetachWritesEverything) {
  attach();
  write_to_device("attached");
  const Finished detached = flatimg({"detach", device_});
  EXPECT_EQ(detached.exit_code, 0) << detached.output;
  EXPECT_FALSE(is_attached());
  EXPECT_EQ(run({"qemu-img", "check", image_}).exit_code, 0);
  EXPECT_EQ(first_bytes(8), "attached");
  expect_nothing_left();
}

TEST_F(Attach, HoldsAFileSystemThatMustBeUnmountedFirst) {
  attach();
  const std::string tree = dir_ / "tree";
  const auto made = shell("mkfs.ext4 -q " + device_ + "; mkdir " + tree + "; mount " + device_ + " " + tree +
                          "; cp -a /etc/default " + tree);
  ASSERT_EQ(made.exit_code, 0) << made.output;
  const Finished refused = flatimg({"detach", device_});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.output.find("is in use: unmount"), std::string::npos) << refused.output;
  EXPECT_EQ(shell("diff -r /etc/default " + tree + "/default; umount " + tree).exit_code, 0);
  EXPECT_EQ(flatimg({"detach", device_}).exit_code, 0);
  expect_nothing_left();
  MountedImage mounted(image_, tree);
  ASSERT_TRUE(mounted.mounted());
  EXPECT_EQ(shell("e2fsck -fn " + mounted.flat()).exit_code, 0);
  mounted.unmount();
}

TEST_F(Attach, ShowsItsPartitionsAsDevices) {
  if (!has_program("sfdisk")) GTEST_SKIP() << "sfdisk is not installed";
  attach();
  EXPECT_EQ(shell("printf 'label: gpt\\n,16M\\n,\\n' | sfdisk -q --no-reread " + device_).exit_code, 0);
  EXPECT_EQ(flatimg({"detach", device_}).exit_code, 0);
  attach({"-P"});
  ASSERT_EQ(shell("test -b " + device_ + "p1 && test -b " + device_ + "p2").exit_code, 0);
  EXPECT_EQ(without_line_end(shell("blockdev --getsize64 " + device_ + "p1").output), std::to_string(16 << 20));
  const std::string tree = dir_ / "tree";
  const auto used = shell("mkfs.ext4 -q " + device_ + "p2; mkdir " + tree + "; mount " + device_ + "p2 " + tree +
                          "; ! $FLATIMG detach " + device_ + "; umount " + tree + "; $FLATIMG detach " + device_);
  EXPECT_EQ(used.exit_code, 0) << used.output;
  EXPECT_FALSE(std::filesystem::exists(device_ + "p1"));
  expect_nothing_left();
}

TEST_F(Attach, IsReadOnlyWhenToldSo) {
  attach({"-r"});
  EXPECT_NE(shell("dd status=none if=/dev/zero bs=512 count=1 oflag=direct of=" + device_).exit_code, 0);
  EXPECT_EQ(without_line_end(shell("blockdev --getro " + device_).output), "1");
  EXPECT_EQ(flatimg({"detach", device_}).exit_code, 0);
  expect_nothing_left();
}

TEST_F(Attach, IsKnownByItsDevice) {
  attach();
  const Finished status = flatimg({"status", device_});
  EXPECT_EQ(status.exit_code, 0);
  EXPECT_NE(status.output.find(image_), std::string::npos) << status.output;
  for (const std::string& name : {device_, image_}) {
    const Finished taken = flatimg({"snapshot", "-c", "by-" + std::to_string(name.size()), name});
    EXPECT_EQ(taken.exit_code, 0) << taken.output;
  }
  const Finished second = flatimg({"attach", image_});
  EXPECT_EQ(second.exit_code, 1) << second.output;
  EXPECT_EQ(flatimg({"detach", device_}).exit_code, 0);
  EXPECT_NE(run({"qemu-img", "snapshot", "-l", image_}).output.find("by-"), std::string::npos);
}

TEST_F(Attach, LeavesNothingWhenAnyOfItsProcessesIsKilled) {
  for (const std::string victims : {"supervisor", "worker", "both"}) {
    attach();
    write_to_device("before");
    EXPECT_EQ(shell("sync -f " + device_ + "; blockdev --flushbufs " + device_).exit_code, 0);
    const std::vector<int> running = processes();
    ASSERT_EQ(running.size(), 2u);
    if (victims != "worker") ::kill(running[0], SIGKILL);
    if (victims != "supervisor") ::kill(running[1], SIGKILL);
    expect_nothing_left();
    EXPECT_EQ(first_bytes(6), "before") << victims;
  }
}

TEST_F(Attach, EndsByASignalWithEveryByteWritten) {
  attach();
  write_to_device("unsynced");
  ::kill(processes().at(0), SIGTERM);
  expect_nothing_left();
  EXPECT_EQ(first_bytes(8), "unsynced");
}

TEST_F(Attach, RefusesWhatItCannotDoWithOneLine) {
  const auto refused = [](const std::vector<std::string>& arguments, const std::string& why) {
    const Finished finished = flatimg(arguments);
    EXPECT_EQ(finished.exit_code, 1);
    EXPECT_NE(finished.output.find(why), std::string::npos) << finished.output;
    EXPECT_EQ(std::count(finished.output.begin(), finished.output.end(), '\n'), 1) << finished.output;
  };
  refused({"attach", dir_.path().string()}, "a directory cannot be attached");
  refused({"attach", dir_ / "absent"}, "absent");
  refused({"detach", image_}, "is not a loop device");
  dir_.write("raw", std::string(1 << 20, 'r'));
  const LoopDevice theirs(dir_ / "raw");
  refused({"detach", theirs.path()}, "was not attached by flatimg");
}

}  // namespace
}  // namespace flatimg::test
