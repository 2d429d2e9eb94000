// Android sparse images mounted: the flat file, a file system inside, loop devices, overlays.
#include <gtest/gtest.h>

#include <filesystem>

#include "mount/mounted_image.h"

namespace flatimg::test {
namespace {

// QEMU does not know the format of the image behind the overlay, so it looks at the overlay alone.
const std::string kQemuCheck =
    R"(qemu-img check -q 'json:{"driver":"qcow2","file":{"driver":"file","filename":"over.qcow2"},"backing":null}')";

class SparseMount : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    if (!has_program("img2simg")) GTEST_SKIP() << "img2simg is not installed";
    const auto made = shell("cd " + dir_.path().string() +
                            "; mkdir mnt tree content; cp -r /usr/include/linux content/; truncate -s 64M disk.raw"
                            "; mkfs.ext4 -q -F -d content disk.raw; img2simg disk.raw disk.simg");
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
  std::string image_ = dir_ / "disk.simg";
  std::string mountpoint_ = dir_ / "mnt";
  std::string before_;
};

TEST_F(SparseMount, ShowsTheDiskReadOnlyWithItsHoles) {
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  expect_runs("cmp " + mounted.flat() + " disk.raw; test $(stat -c %a " + mounted.flat() + ") = 444");
  expect_runs("test $(stat -c %b " + mounted.flat() + ") -lt 65536; cp --sparse=auto " + mounted.flat() +
              " copy.raw; cmp copy.raw disk.raw"
              "; test $(stat -c %b copy.raw) -lt 65536");
  expect_runs("! dd if=/dev/zero of=" + mounted.flat() + " bs=512 count=1 conv=notrunc 2>&1 | grep -q copied");
  mounted.unmount();
}

TEST_F(SparseMount, IsMountedTwiceByTwoReaders) {
  const std::string other = dir_ / "other";
  std::filesystem::create_directory(other);
  MountedImage first(image_, mountpoint_);
  MountedImage second(image_, other);
  ASSERT_TRUE(first.mounted());
  ASSERT_TRUE(second.mounted());
  expect_runs("cmp " + first.flat() + " " + second.flat());
  first.unmount();
  second.unmount();
}

TEST_F(SparseMount, HoldsAFileSystemThatIsSoundOnALoopDevice) {
  if (const auto why = why_no_loop_devices(); !why.empty()) GTEST_SKIP() << why;
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  {
    LoopDevice loop(mounted.flat(), {"-r"});
    ASSERT_FALSE(loop.path().empty());
    expect_runs("e2fsck -fn " + loop.path() + "; mount -o ro " + loop.path() + " tree; trap 'umount tree' EXIT" +
                "; diff -r content/linux tree/linux");
  }
  mounted.unmount();
}

TEST_F(SparseMount, IsWrittenThroughAnOverlayThatRecordsItsFormat) {
  const std::string overlay = dir_ / "over.qcow2";
  for (int round = 0; round < 2; ++round) {
    MountedImage mounted(image_, mountpoint_, {"overlay=" + overlay});
    ASSERT_TRUE(mounted.mounted());
    expect_runs("cmp disk.raw " + mounted.flat());
    expect_runs("head -c 3000 /dev/urandom > new; for f in " + mounted.flat() +
                " disk.raw; do dd if=new of=$f bs=1000" + " seek=" + std::to_string(77 + round) +
                " conv=notrunc,fsync status=none; done; cmp disk.raw " + mounted.flat());
    mounted.unmount();
  }
  expect_runs(kQemuCheck + "; qemu-img info -f qcow2 over.qcow2 | grep -q 'backing file format: sparse'");
  expect_runs("$FLATIMG compare -F raw over.qcow2 disk.raw");
}

TEST_F(SparseMount, ThatLiesAboutItsFormatIsOneClearLine) {
  const auto outcome = flatimg({"mount", "-o", "format=sparse", dir_ / "disk.raw", mountpoint_});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.output.find("is not an Android sparse image"), std::string::npos) << outcome.output;
  EXPECT_EQ(outcome.output.find('\n'), outcome.output.size() - 1) << outcome.output;
}

}  // namespace
}  // namespace flatimg::test
