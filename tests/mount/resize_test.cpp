// A mount with `-o growable`: truncate resizes the image, and everybody above sees the new size.
#include <gtest/gtest.h>

#include "mount/mounted_image.h"

namespace flatimg::test {
namespace {

class Growable : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto reason = why_no_mounts(); !reason.empty()) GTEST_SKIP() << reason;
    mountpoint_ = dir_ / "m";
    ASSERT_EQ(run({"mkdir", mountpoint_}).exit_code, 0);
    image_ = dir_ / "disk.qcow2";
    ASSERT_EQ(run({"qemu-img", "create", "-q", "-f", "qcow2", image_, "10M"}).exit_code, 0);
  }
  std::string size_of(const std::string& file) { return shell("stat -c %s " + file).output; }

  TempDir dir_;
  std::string image_;
  std::string mountpoint_;
};

TEST_F(Growable, TruncateMakesTheDiskLargerAndSmaller) {
  MountedImage mounted(image_, mountpoint_, {"growable"});
  ASSERT_TRUE(mounted.mounted());
  const std::string& flat = mounted.flat();
  EXPECT_EQ(shell("head -c 10M /dev/urandom > " + (dir_ / "data") +
                  "; dd conv=notrunc bs=1M status=none if=" + (dir_ / "data") + " of=" + flat)
                .exit_code,
            0);
  EXPECT_EQ(shell("truncate -s 30M " + flat).exit_code, 0);
  EXPECT_EQ(size_of(flat), "31457280\n");
  EXPECT_EQ(shell("cmp -n 10485760 " + flat + " " + (dir_ / "data")).exit_code, 0);
  EXPECT_EQ(shell("truncate -s 5000000 " + flat).exit_code, 0);
  EXPECT_EQ(size_of(flat), "5000192\n") << "whole sectors";
  EXPECT_EQ(shell("truncate -s 20M " + flat).exit_code, 0);
  EXPECT_EQ(shell("cmp -n 5000192 " + flat + " " + (dir_ / "data")).exit_code, 0);
  EXPECT_EQ(shell("tail -c +5000193 " + flat + " | tr -d '\\0' | wc -c").output, "0\n");
  EXPECT_EQ(mounted.unmount().exit_code, 0);
  EXPECT_EQ(run({"qemu-img", "check", "-q", image_}).exit_code, 0);
  EXPECT_EQ(shell("qemu-img info " + image_ + " | grep -c '20971520 bytes'").output, "1\n");
}

TEST_F(Growable, LoopDevicesFollowWhenTold) {
  if (const auto reason = why_no_loop_devices(); !reason.empty()) GTEST_SKIP() << reason;
  MountedImage mounted(image_, mountpoint_, {"growable"});
  ASSERT_TRUE(mounted.mounted());
  {
    const LoopDevice loop(mounted.flat());
    EXPECT_EQ(shell("truncate -s 30M " + mounted.flat() + "; losetup -c " + loop.path()).exit_code, 0);
    EXPECT_EQ(shell("blockdev --getsize64 " + loop.path()).output, "31457280\n");
    EXPECT_EQ(shell("printf end | dd of=" + loop.path() + " bs=1 seek=31457277 conv=fsync status=none").exit_code, 0);
    EXPECT_EQ(shell("truncate -s 4M " + mounted.flat() + "; losetup -c " + loop.path()).exit_code, 0);
    EXPECT_EQ(shell("blockdev --getsize64 " + loop.path()).output, "4194304\n");
  }
  EXPECT_EQ(mounted.unmount().exit_code, 0);
  EXPECT_EQ(run({"qemu-img", "check", "-q", image_}).exit_code, 0);
}

TEST_F(Growable, WithoutTheOptionTheSizeIsFixed) {
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  EXPECT_NE(shell("truncate -s 30M " + mounted.flat()).exit_code, 0);
  EXPECT_NE(shell("truncate -s 3M " + mounted.flat()).exit_code, 0);
  EXPECT_EQ(size_of(mounted.flat()), "10485760\n");
  mounted.unmount();
}

}  // namespace
}  // namespace flatimg::test
