// zstd files mounted: the flat file, a file system inside, loop devices, overlays.
#include <gtest/gtest.h>

#include <filesystem>

#include "mount/mounted_image.h"

namespace flatimg::test {
namespace {

// QEMU does not know the format of the image behind the overlay, so it looks at the overlay alone.
const std::string kQemuCheck =
    R"(qemu-img check -q 'json:{"driver":"qcow2","file":{"driver":"file","filename":"over.qcow2"},"backing":null}')";

class ZstdMount : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    if (!has_program("zstd")) GTEST_SKIP() << "zstd is not installed";
    const auto made = shell("cd " + dir_.path().string() +
                            "; mkdir mnt tree content; cp -r /usr/include/linux content/; "
                            "truncate -s 64M disk.raw"
                            "; mkfs.ext4 -q -F -d content disk.raw"
                            "; split -b 512K --filter='zstd -q -c' disk.raw > disk.zst");
    ASSERT_EQ(made.exit_code, 0) << made.output;
    before_ = shell("sha256sum < " + image_).output;
  }
  void TearDown() override {
    if (IsSkipped()) return;
    EXPECT_EQ(shell("sha256sum < " + image_).output, before_);
  }
  void expect_runs(const std::string& script) {
    const auto finished = shell("cd " + dir_.path().string() + "; " + script);
    EXPECT_EQ(finished.exit_code, 0) << finished.output;
  }

  TempDir dir_;
  std::string image_ = dir_ / "disk.zst";
  std::string mountpoint_ = dir_ / "mnt";
  std::string before_;
};

TEST_F(ZstdMount, ShowsTheDiskReadOnlyToManyReaders) {
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  expect_runs("for n in 1 2 3 4; do cmp " + mounted.flat() + " disk.raw & done; wait; test $(stat -c %a " +
              mounted.flat() + ") = 444");
  mounted.unmount();
}

TEST_F(ZstdMount, HoldsAFileSystemThatIsSoundOnALoopDevice) {
  if (const auto why = why_no_loop_devices(); !why.empty()) GTEST_SKIP() << why;
  MountedImage mounted(image_, mountpoint_, {"cache-size=4M"});
  ASSERT_TRUE(mounted.mounted());
  {
    LoopDevice loop(mounted.flat(), {"-r"});
    ASSERT_FALSE(loop.path().empty());
    expect_runs("e2fsck -fn " + loop.path() + "; mount -o ro " + loop.path() + " tree; trap 'umount tree' EXIT" +
                "; diff -r content/linux tree/linux");
  }
  mounted.unmount();
}

TEST_F(ZstdMount, IsWrittenThroughAnOverlay) {
  MountedImage mounted(image_, mountpoint_, {"overlay=" + (dir_ / "over.qcow2")});
  ASSERT_TRUE(mounted.mounted());
  expect_runs("head -c 3000 /dev/urandom > new; for f in " + mounted.flat() +
              " disk.raw; do dd if=new of=$f bs=1000 seek=77 conv=notrunc,fsync status=none; done; cmp disk.raw " +
              mounted.flat());
  mounted.unmount();
  expect_runs(kQemuCheck + "; $FLATIMG compare -F raw over.qcow2 disk.raw");
}

TEST_F(ZstdMount, WithFramesBeyondItsBudgetIsOneClearLine) {
  const auto outcome = flatimg({"mount", "-o", "cache-size=1M", image_, mountpoint_});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.output.find("raise cache-size"), std::string::npos) << outcome.output;
  EXPECT_EQ(outcome.output.find('\n'), outcome.output.size() - 1) << outcome.output;
}

}  // namespace
}  // namespace flatimg::test
