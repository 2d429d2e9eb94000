// A composite disk as the kernel sees it: partitions on a loop device, file systems in them, parts judged afterwards.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>

#include "mount/mounted_image.h"

namespace flatimg::test {
namespace {

class MountedComposite : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    std::filesystem::create_directory(mountpoint_);
    must(
        "cd " + dir_.path().string() +
        "; qemu-img create -q -f qcow2 root.qcow2 64M; truncate -s 32M data.raw; head -c 5000 /dev/urandom > fixed.raw;"
        "$FLATIMG compose --gpt -O disk root:root.qcow2:writable data:data.raw:writable fixed:fixed.raw");
  }
  void must(const std::string& script) {
    const auto finished = shell(script);
    ASSERT_EQ(finished.exit_code, 0) << finished.output;
  }
  // Where partition n begins and how long it is, in bytes, for losetup; partition devices need a running udev.
  static std::vector<std::string> partition(std::uint64_t begin, std::uint64_t length) {
    return {"--offset", std::to_string(begin), "--sizelimit", std::to_string(length)};
  }

  static constexpr std::uint64_t kRoot = 20480;
  static constexpr std::uint64_t kRootSize = 64 << 20;
  static constexpr std::uint64_t kData = kRoot + kRootSize;
  static constexpr std::uint64_t kDataSize = 32 << 20;
  static constexpr std::uint64_t kFixed = kData + kDataSize;

  TempDir dir_;
  std::string disk_ = dir_ / "disk";
  std::string mountpoint_ = dir_ / "mnt";
};

TEST_F(MountedComposite, HasAPartitionTableThatSgdiskLikes) {
  if (const auto why = why_no_loop_devices(); !why.empty()) GTEST_SKIP() << why;
  if (!has_program("sgdisk")) GTEST_SKIP() << "sgdisk is not installed";
  MountedImage mounted(disk_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  {
    LoopDevice loop(mounted.flat());
    const auto verdict = run({"sgdisk", "-v", loop.path()});
    EXPECT_NE(verdict.output.find("No problems found"), std::string::npos) << verdict.output;
  }
  mounted.unmount();
}

TEST_F(MountedComposite, HasPartitionsThatTheKernelFinds) {
  if (const auto why = why_no_loop_devices(); !why.empty()) GTEST_SKIP() << why;
  if (shell("zcat /proc/config.gz | grep '^# CONFIG_EFI_PARTITION is not set'").exit_code == 0) {
    GTEST_SKIP() << "this kernel knows no GPT";
  }
  MountedImage mounted(disk_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  {
    LoopDevice loop(mounted.flat(), {"-P"});
    ASSERT_FALSE(loop.path().empty());
    const std::string name = std::filesystem::path(loop.path()).filename();
    const auto partitions = shell("cd /sys/block/" + name + "; cat " + name + "p1/start " + name + "p1/size " + name +
                                  "p2/start " + name + "p2/size " + name + "p3/start " + name + "p3/size");
    EXPECT_EQ(partitions.output, "40\n131072\n131112\n65536\n196648\n16\n");
  }
  mounted.unmount();
}

TEST_F(MountedComposite, HoldsFileSystemsInItsParts) {
  if (const auto why = why_no_loop_devices(); !why.empty()) GTEST_SKIP() << why;
  MountedImage mounted(disk_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  {
    LoopDevice root(mounted.flat(), partition(kRoot, kRootSize));
    LoopDevice data(mounted.flat(), partition(kData, kDataSize));
    ASSERT_FALSE(root.path().empty() || data.path().empty());
    for (const auto& device : {root.path(), data.path()}) {
      const std::string tree = dir_ / "tree";
      must("mkfs.ext4 -q " + device + "; mkdir -p " + tree + "; mount " + device + " " + tree +
           "; trap 'mountpoint -q " + tree + " && umount " + tree + "' EXIT; cp -a /usr/include/linux " + tree +
           "; sync; diff -r --no-dereference /usr/include/linux " + tree + "/linux; rm -r " + tree +
           "/linux/netfilter; fstrim " + tree + "; umount " + tree + "; e2fsck -fn " + device);
    }
  }
  mounted.unmount();
  must("cd " + dir_.path().string() +
       "; qemu-img check -q root.qcow2; qemu-img convert -O raw root.qcow2 root.raw; e2fsck -fn root.raw; e2fsck -fn "
       "data.raw; $FLATIMG check disk");
}

TEST_F(MountedComposite, RefusesWritesToAPartThatIsReadOnly) {
  const std::string before = shell("sha256sum " + (dir_ / "fixed.raw") + " " + (dir_ / "disk.header")).output;
  MountedImage mounted(disk_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  const auto write = [&](std::uint64_t at) {
    return shell("echo x | dd of=" + mounted.flat() + " bs=1 seek=" + std::to_string(at) +
                 " conv=notrunc,fsync status=none oflag=direct 2>&1 || echo x | dd of=" + mounted.flat() +
                 " bs=1 seek=" + std::to_string(at) + " conv=notrunc,fsync status=none")
        .exit_code;
  };
  EXPECT_EQ(write(kRoot), 0);
  EXPECT_EQ(write(kData), 0);
  EXPECT_NE(write(0), 0);
  EXPECT_NE(write(kFixed), 0);
  (void)flatimg({"umount", mountpoint_});
  EXPECT_EQ(shell("sha256sum " + (dir_ / "fixed.raw") + " " + (dir_ / "disk.header")).output, before);
}

TEST_F(MountedComposite, KeepsWhatAnFsyncCoveredInEveryPart) {
  {
    MountedImage mounted(disk_, mountpoint_);
    ASSERT_TRUE(mounted.mounted());
    must("head -c 1M /dev/urandom > " + (dir_ / "bytes") + "; for at in 1 3 70; do dd if=" + (dir_ / "bytes") +
         " of=" + mounted.flat() + " bs=1M seek=$at conv=notrunc status=none; done; sync " + mounted.flat());
    ::kill(mounted.daemon(), SIGKILL);
    mounted.clear_dead_mount();
  }
  MountedImage again(disk_, mountpoint_);
  ASSERT_TRUE(again.mounted());
  must("for at in 1 3 70; do dd if=" + again.flat() + " bs=1M skip=$at count=1 status=none | cmp - " +
       (dir_ / "bytes") + "; done");
  again.unmount();
  must("$FLATIMG check " + disk_ + " || test $? = 3");
}

TEST_F(MountedComposite, IsNotWrittenBehindAnOverlay) {
  const std::string sums = "cd " + dir_.path().string() + "; sha256sum disk root.qcow2 data.raw fixed.raw";
  const std::string before = shell(sums).output;
  const std::string overlay = "overlay=" + (dir_ / "over.qcow2");
  for (int round = 0; round < 2; ++round) {
    MountedImage mounted(disk_, mountpoint_, {overlay});
    ASSERT_TRUE(mounted.mounted());
    must("for at in 0 20470 30000000 67129300 100683700; do printf changed | dd of=" + mounted.flat() +
         " bs=1 seek=$at conv=notrunc status=none; done; cmp -n 7 -i 30000000:0 " + mounted.flat() +
         " <(printf changed)");
    mounted.unmount();
  }
  EXPECT_EQ(shell(sums).output, before);
}

// As virtmgr hands over the parts of a disk.
TEST_F(MountedComposite, UsesADescriptorThatWasHandedOver) {
  must(
      "cd " + dir_.path().string() +
      "; printf 'composite_disk\\x1d\\x12\\x13\\x0a\\x0f/proc/self/fd/9\\x18\\x01\\x18\\x80\\x40' > given; truncate -s "
      "8192 part; exec 9<>part; $FLATIMG mount -o allow-path=/proc/self/fd given mnt; exec 9>&-; printf changed | dd "
      "of=mnt/given bs=1 seek=512 conv=notrunc status=none; $FLATIMG umount mnt; cmp -n 7 -i 512:0 part <(printf "
      "changed)");
  EXPECT_NE(shell("cd " + dir_.path().string() + "; exec 9<>part; $FLATIMG mount given mnt").exit_code, 0);
}

TEST_F(MountedComposite, IsRefusedWithOneLineWhenAPartIsMissing) {
  must("rm " + (dir_ / "data.raw"));
  const auto outcome = flatimg({"mount", disk_, mountpoint_});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.output.find("part \"data.raw\""), std::string::npos) << outcome.output;
  EXPECT_EQ(outcome.output.find('\n'), outcome.output.size() - 1) << outcome.output;
  EXPECT_NE(run({"mountpoint", "-q", mountpoint_}).exit_code, 0);
}

}  // namespace
}  // namespace flatimg::test
