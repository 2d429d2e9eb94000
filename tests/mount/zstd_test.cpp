// zstd files mounted: the flat file, a file system inside, loop devices, overlays.
#include <gtest/gtest.h>

#include "mount/untouched_image.h"

namespace flatimg::test {
namespace {

class ZstdMount : public UntouchedFileSystem {
 protected:
  ZstdMount() : UntouchedFileSystem("disk.zst") {}
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    if (!has_program("zstd")) GTEST_SKIP() << "zstd is not installed";
    make_file_system("split -b 512K --filter='zstd -q -c' disk.raw > disk.zst");
  }
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
  expect_sound_on_a_loop_device(mounted);
  mounted.unmount();
}

TEST_F(ZstdMount, IsWrittenThroughAnOverlay) {
  MountedImage mounted(image_, mountpoint_, {"overlay=" + (dir_ / "over.qcow2")});
  ASSERT_TRUE(mounted.mounted());
  expect_takes_a_write(mounted, 77);
  mounted.unmount();
  expect_sound_overlay();
}

TEST_F(ZstdMount, WithFramesBeyondItsBudgetIsOneClearLine) {
  expect_refused("cache-size=1M", image_, "raise cache-size");
}

}  // namespace
}  // namespace flatimg::test
