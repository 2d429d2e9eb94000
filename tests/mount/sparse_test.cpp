// Android sparse images mounted: the flat file, a file system inside, loop devices, overlays.
#include <gtest/gtest.h>

#include <filesystem>

#include "mount/untouched_image.h"

namespace flatimg::test {
namespace {

class SparseMount : public UntouchedFileSystem {
 protected:
  SparseMount() : UntouchedFileSystem("disk.simg") {}
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    if (!has_program("img2simg")) GTEST_SKIP() << "img2simg is not installed";
    make_file_system("img2simg disk.raw disk.simg");
  }
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

TEST_F(SparseMount, IsJoinedOfPiecesThatAreListed) {
  const TempDir elsewhere;
  expect_runs("simg2simg disk.simg piece 100000; mv piece.0 first.simg; mv piece.* " + elsewhere.path().string());
  std::string pieces;
  for (int number = 1; std::filesystem::exists(elsewhere / ("piece." + std::to_string(number))); ++number) {
    pieces += (pieces.empty() ? "" : ":") + (elsewhere / ("piece." + std::to_string(number)));
  }
  ASSERT_NE(pieces.find(':'), std::string::npos);
  MountedImage mounted(dir_ / "first.simg", mountpoint_, {"pieces=" + pieces});
  ASSERT_TRUE(mounted.mounted());
  expect_runs("cmp " + mounted.flat() + " disk.raw");
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
  expect_sound_on_a_loop_device(mounted);
  mounted.unmount();
}

TEST_F(SparseMount, IsWrittenThroughAnOverlayThatRecordsItsFormat) {
  const std::string overlay = dir_ / "over.qcow2";
  for (int round = 0; round < 2; ++round) {
    MountedImage mounted(image_, mountpoint_, {"overlay=" + overlay});
    ASSERT_TRUE(mounted.mounted());
    expect_runs("cmp disk.raw " + mounted.flat());
    expect_takes_a_write(mounted, 77 + round);
    mounted.unmount();
  }
  expect_runs("$FLATIMG info over.qcow2 | grep -q 'backing file format: sparse'");
  expect_sound_overlay();
}

// Formats that QEMU does not know are recorded where it does not look; what it records itself holds.
TEST_F(SparseMount, HasAnOverlayThatQemuMayPutOverAnotherImage) {
  const auto made = flatimg({"create", "-f", "qcow2", "-b", image_, "-F", "sparse", dir_ / "over.qcow2"});
  EXPECT_EQ(made.exit_code, 0) << made.output;
  EXPECT_NE(made.output.find("QEMU would take what is behind it for raw"), std::string::npos) << made.output;
  expect_runs(
      "qemu-img rebase -u -b disk.raw -F raw over.qcow2; $FLATIMG info over.qcow2 | grep -q 'file format: raw'; "
      "$FLATIMG compare -F raw over.qcow2 disk.raw; qemu-img compare -q over.qcow2 disk.raw");
}

TEST_F(SparseMount, ThatLiesAboutItsFormatIsOneClearLine) {
  expect_refused("format=sparse", dir_ / "disk.raw", "is not an Android sparse image");
}

}  // namespace
}  // namespace flatimg::test
