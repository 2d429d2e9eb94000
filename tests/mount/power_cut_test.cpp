// Power cuts of the host beneath a mount: its file system (ext4, XFS on a loop device) is shut down without writing its
// log, and mounted again. What was fsynced through the mount is there, everything else is old or new, and the image
// needs no repair (promises R1, R2, R4).
//
// FLATIMG_SEED chooses other writes, FLATIMG_CUTS how many cuts of each file system.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "mount/mounted_image.h"
#include "mount/numbered_blocks.h"
#include "support/figures.h"
#include "support/from_environment.h"

namespace flatimg::test {
namespace {

class PowerCut : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    if (::geteuid() != 0) GTEST_SKIP() << "mounting a host file system takes root";
    if (const auto why = why_no_loop_devices(); !why.empty()) GTEST_SKIP() << why;
    if (!has_program("mkfs." + GetParam())) GTEST_SKIP() << "mkfs." << GetParam() << " is not installed";
    ::mkdir(host_.c_str(), 0755);
    ::mkdir(mountpoint_.c_str(), 0755);
    const auto made = shell("truncate -s 400M " + disk_ + "; mkfs." + GetParam() + " -q " + disk_);
    ASSERT_EQ(made.exit_code, 0) << made.output;
    mount_host();
    ASSERT_EQ(run({"qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", image_, "16M"}).exit_code, 0);
    ASSERT_EQ(run({"sync", "-f", image_}).exit_code, 0);
  }
  void TearDown() override {
    if (host_mounted_) unmount_host();
  }

  void mount_host() {
    const auto mounted = run({"mount", "-o", "loop", disk_, host_});
    ASSERT_EQ(mounted.exit_code, 0) << mounted.output;
    host_mounted_ = true;
  }
  void unmount_host() {
    const auto gone = run({"umount", host_});
    EXPECT_EQ(gone.exit_code, 0) << gone.output;
    host_mounted_ = false;
  }

  // What is not on the device yet, the log included, never gets there.
  void cut_power() const {
    constexpr unsigned long kShutdown = _IOR('X', 125, std::uint32_t);
    std::uint32_t without_log_flush = 2;
    const int fd = ::open(host_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    EXPECT_EQ(::ioctl(fd, kShutdown, &without_log_flush), 0) << "the shutdown ioctl";
    ::close(fd);
  }

  void work_until_power_is_cut() {
    MountedImage mounted(image_, mountpoint_, {"flush-interval=1"});
    ASSERT_TRUE(mounted.mounted());
    blocks_.expect_old_or_new(mounted.flat());
    std::thread cutter([&, after = 50 + blocks_.random()() % 500] {
      std::this_thread::sleep_for(std::chrono::milliseconds(after));
      blocks_.host_is_dying();
      cut_power();
    });
    blocks_.write_until_it_fails(mounted.flat());
    cutter.join();
    (void)flatimg({"umount", mountpoint_});  // waits until the worker has gone; its last flush cannot succeed
    mounted.clear_dead_mount();
  }

  TempDir dir_;
  std::string disk_ = dir_ / "host.img";
  std::string host_ = dir_ / "host";
  std::string image_ = host_ + "/disk.qcow2";
  std::string mountpoint_ = dir_ / "mnt";
  bool host_mounted_ = false;
  NumberedBlocks blocks_{from_environment("FLATIMG_SEED", 7)};
};

TEST_P(PowerCut, LeavesEveryFsyncedByteInAnImageWithoutErrors) {
  const std::uint64_t cuts = from_environment("FLATIMG_CUTS", 5);
  for (std::uint64_t cut = 0; cut < cuts && !HasFailure(); ++cut) {
    work_until_power_is_cut();
    if (HasFatalFailure()) return;
    unmount_host();
    mount_host();
    const auto check = run({"qemu-img", "check", image_});
    EXPECT_TRUE(check.exit_code == 0 || check.exit_code == 3) << check.output;
  }
  {
    MountedImage mounted(image_, mountpoint_);
    ASSERT_TRUE(mounted.mounted());
    blocks_.expect_old_or_new(mounted.flat());
    mounted.unmount();
  }
  EXPECT_GT(blocks_.fsyncs(), cuts);
  add_figure("power cuts of the host", cuts);
}

TEST_P(PowerCut, IsToldByTheUnmountWhoseLastFlushFailed) {
  for (const std::string& unmount : {std::string("$FLATIMG umount "), (dir_ / "umount.flatimg") + " "}) {
    ASSERT_EQ(shell("ln -sf $FLATIMG " + (dir_ / "umount.flatimg")).exit_code, 0);
    MountedImage mounted(image_, mountpoint_, {"flush-interval=1000"});
    ASSERT_TRUE(mounted.mounted());
    const auto written =
        shell("dd if=/dev/urandom of=" + mounted.flat() + " bs=64k count=20 conv=notrunc status=none");
    EXPECT_EQ(written.exit_code, 0) << written.output;
    cut_power();
    const auto told = shell(unmount + mountpoint_);
    EXPECT_NE(told.exit_code, 0) << unmount;
    EXPECT_NE(told.output.find("the last flush failed"), std::string::npos) << told.output;
    mounted.clear_dead_mount();
    unmount_host();
    mount_host();
    EXPECT_EQ(run({"qemu-img", "check", "-q", image_}).exit_code, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Hosts, PowerCut, ::testing::Values("ext4", "xfs"),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace flatimg::test
