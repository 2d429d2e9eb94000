// overlay=FILE: all changes in a qcow2 of the user, the image never written.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "mount/mounted_image.h"

namespace flatimg::test {
namespace {

class Overlay : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    std::filesystem::create_directory(mountpoint_);
    std::filesystem::create_directory(dir_ / "elsewhere");
    const auto made = shell("qemu-img create -q -f " + GetParam() + " " + image_ + " 8M && qemu-io -f " + GetParam() +
                            " -c 'write -q -P 5 0 1M' -c 'write -q -P 6 3M 100k' " + image_);
    ASSERT_EQ(made.exit_code, 0) << made.output;
    before_ = shell("sha256sum < " + image_).output;
  }

  void expect_image_untouched() { EXPECT_EQ(shell("sha256sum < " + image_).output, before_); }
  void expect_refused(const std::string& overlay, const std::string& words) {
    const auto outcome = flatimg({"mount", "-o", "overlay=" + overlay, image_, mountpoint_});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_NE(outcome.output.find(words), std::string::npos) << outcome.output;
    EXPECT_EQ(outcome.output.find('\n'), outcome.output.size() - 1) << outcome.output;
    EXPECT_NE(run({"mountpoint", "-q", mountpoint_}).exit_code, 0);
    expect_image_untouched();
  }

  TempDir dir_;
  std::string image_ = dir_ / "disk.img";
  std::string mountpoint_ = dir_ / "mnt";
  std::string before_;
};

TEST_P(Overlay, TakesAllWritesAndKeepsThemForTheNextMount) {
  const std::string expected = dir_ / "expected.raw";
  ASSERT_EQ(shell("qemu-img convert -O raw -f " + GetParam() + " " + image_ + " " + expected).exit_code, 0);
  for (const std::string& overlay : {dir_ / "over.qcow2", dir_ / "elsewhere/over.qcow2"}) {
    {
      MountedImage mounted(image_, mountpoint_, {"overlay=" + overlay});
      ASSERT_TRUE(mounted.mounted());
      const std::string write = " bs=700 seek=9 count=300 conv=notrunc status=none if=/dev/zero of=";
      EXPECT_EQ(shell("cmp " + mounted.flat() + " " + expected + "; dd" + write + mounted.flat()).exit_code, 0);
      mounted.unmount();
    }
    ASSERT_EQ(shell("cp " + expected + " " + expected + ".2; dd bs=700 seek=9 count=300 conv=notrunc status=none " +
                    "if=/dev/zero of=" + expected + ".2")
                  .exit_code,
              0);
    expect_image_untouched();
    const auto judged = shell("qemu-img check -q " + overlay + " && qemu-img compare -f qcow2 -F raw " + overlay + " " +
                              expected + ".2 && qemu-img info " + overlay);
    EXPECT_EQ(judged.exit_code, 0) << judged.output;
    EXPECT_NE(judged.output.find("backing file format: " + GetParam()), std::string::npos) << judged.output;
    struct stat made {};
    ASSERT_EQ(::stat(overlay.c_str(), &made), 0);
    EXPECT_EQ(made.st_mode & 0777, 0600u);
    MountedImage again(image_, mountpoint_, {"overlay=" + overlay});
    ASSERT_TRUE(again.mounted());
    EXPECT_EQ(shell("cmp " + again.flat() + " " + expected + ".2").exit_code, 0);
    again.unmount();
  }
}

TEST_P(Overlay, MakesAReadOnlyImageWritable) {
  ASSERT_EQ(shell("chmod 444 " + image_).exit_code, 0);
  MountedImage mounted(image_, mountpoint_, {"overlay=" + (dir_ / "over.qcow2")});
  ASSERT_TRUE(mounted.mounted());
  EXPECT_EQ(shell("test $(stat -c %a " + mounted.flat() +
                  ") = 600; echo x | dd conv=notrunc status=none of=" + mounted.flat())
                .exit_code,
            0);
  mounted.unmount();
  expect_image_untouched();
}

TEST_P(Overlay, IsNotMadeByAReadOnlyMount) {
  const std::string overlay = dir_ / "over.qcow2";
  MountedImage mounted(image_, mountpoint_, {"ro", "overlay=" + overlay});
  ASSERT_TRUE(mounted.mounted());
  mounted.unmount();
  EXPECT_FALSE(std::filesystem::exists(overlay));
}

TEST_P(Overlay, OfAnotherImageIsRefused) {
  ASSERT_EQ(shell("cp " + image_ + " " + (dir_ / "other.img") + "; qemu-img create -q -f qcow2 -b other.img -F " +
                  GetParam() + " " + (dir_ / "over.qcow2"))
                .exit_code,
            0);
  expect_refused(dir_ / "over.qcow2", "is no overlay of");
}

TEST_P(Overlay, ThatIsNoQcow2IsRefusedAndLeftAlone) {
  dir_.write("notes.txt", "something dear");
  expect_refused(dir_ / "notes.txt", "notes.txt");
  EXPECT_EQ(shell("cat " + (dir_ / "notes.txt")).output, "something dear");
}

TEST_P(Overlay, CannotBeTheImageItself) { expect_refused(image_, "disk.img"); }

INSTANTIATE_TEST_SUITE_P(Formats, Overlay, ::testing::Values("raw", "qcow2"),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace flatimg::test
