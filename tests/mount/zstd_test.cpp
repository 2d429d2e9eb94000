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
  expect_refused("cache-size=1M,unpack=off", image_, "raise cache-size");
}

TEST_F(ZstdMount, UnpacksAFileOfOneFrameOnceAndKeepsIt) {
  expect_runs("zstd -q disk.raw -o one.zst");
  const std::vector<std::string> options{"unpack-dir=" + (dir_ / "unpacked")};
  for (unsigned n = 0; n < 2; ++n) {
    MountedImage mounted(dir_ / "one.zst", mountpoint_, options);
    ASSERT_TRUE(mounted.mounted());
    expect_runs("cmp " + mounted.flat() + " disk.raw; test $(stat -c %a " + mounted.flat() + ") = 444");
    mounted.unmount();
    expect_runs("test $(ls unpacked | wc -l) = 1; test $(stat -c %a unpacked) = 700");
  }
  const auto kept = [&] { return shell("cd " + dir_.path().string() + "; stat -c %i unpacked/*").output; };
  const std::string first = kept();
  expect_runs("touch -d 2020-01-01 one.zst");
  MountedImage changed(dir_ / "one.zst", mountpoint_, options);
  ASSERT_TRUE(changed.mounted());
  expect_runs("cmp " + changed.flat() + " disk.raw");
  changed.unmount();
  EXPECT_NE(kept(), first);
}

TEST_F(ZstdMount, KeepsAnUnpackedFileOfAnImageThatIsMountedOverItself) {
  expect_runs("zstd -q disk.raw -o one.zst");
  for (unsigned n = 0; n < 2; ++n) {
    MountedImage mounted(dir_ / "one.zst", dir_ / "one.zst", {"unpack-dir=" + (dir_ / "unpacked")});
    ASSERT_TRUE(mounted.mounted());
    expect_runs("cmp one.zst disk.raw");
    mounted.unmount();
    expect_runs("test $(ls unpacked | wc -l) = 1; ls unpacked | grep -q ^$(stat -c %s one.zst)-");
  }
}

TEST_F(ZstdMount, UnpacksWhatDoesNotStateItsSizeBeforeItIsReady) {
  expect_runs("zstd -q < disk.raw > pipe.zst");
  MountedImage mounted(dir_ / "pipe.zst", mountpoint_, {"unpack-dir=" + (dir_ / "unpacked")});
  ASSERT_TRUE(mounted.mounted());
  expect_runs("cmp " + mounted.flat() + " disk.raw");
  mounted.unmount();
}

TEST_F(ZstdMount, RefusesToUnpackWhenToldSoAndSaysWhatHelps) {
  expect_runs("zstd -q disk.raw -o one.zst");
  const auto refused = flatimg({"mount", "-o", "unpack=off", dir_ / "one.zst", mountpoint_});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.output.find("flatimg convert -O zstd " + (dir_ / "one.zst") + " NEW.zst"), std::string::npos)
      << refused.output;
  const auto small =
      flatimg({"mount", "-o", "unpack-size=1M,unpack-dir=" + (dir_ / "unpacked"), dir_ / "one.zst", mountpoint_});
  EXPECT_EQ(small.exit_code, 1);
  EXPECT_NE(small.output.find("raise unpack-size"), std::string::npos) << small.output;
}

TEST_F(ZstdMount, PutsAnOverlayOverAnUnpackedFile) {
  expect_runs("zstd -q disk.raw -o one.zst");
  MountedImage mounted(dir_ / "one.zst", mountpoint_,
                       {"unpack-dir=" + (dir_ / "unpacked"), "overlay=" + (dir_ / "over.qcow2")});
  ASSERT_TRUE(mounted.mounted());
  expect_takes_a_write(mounted, 33);
  mounted.unmount();
  expect_sound_overlay();
}

}  // namespace
}  // namespace flatimg::test
