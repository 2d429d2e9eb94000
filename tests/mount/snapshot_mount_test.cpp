// snapshot=: an internal snapshot as a flat file, for reading.
#include <gtest/gtest.h>

#include <filesystem>

#include "mount/mounted_image.h"

namespace flatimg::test {
namespace {

class SnapshotMount : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    const auto made = shell("cd " + dir_.path().string() +
                            "; mkdir mnt; qemu-img create -q -f qcow2 d.qcow2 8M;"
                            "qemu-io -c 'write -q -P 1 0 3M' d.qcow2; qemu-img convert -O raw d.qcow2 first.raw;"
                            "qemu-img snapshot -c first d.qcow2; qemu-img resize -q d.qcow2 12M;"
                            "qemu-io -c 'write -q -P 2 1M 10M' d.qcow2; qemu-img convert -O raw d.qcow2 second.raw;"
                            "qemu-img snapshot -c second d.qcow2; qemu-io -c 'write -q -z 0 12M' d.qcow2");
    ASSERT_EQ(made.exit_code, 0) << made.output;
    before_ = shell("sha256sum < " + image_).output;
  }
  void TearDown() override {
    if (IsSkipped()) return;
    EXPECT_EQ(shell("sha256sum < " + image_).output, before_);
  }

  TempDir dir_;
  std::string image_ = dir_ / "d.qcow2";
  std::string mountpoint_ = dir_ / "mnt";
  std::string before_;
};

TEST_F(SnapshotMount, ShowsItsDiskInItsSizeByNameAndById) {
  for (const auto& [name, raw] : {std::pair{"first", "first.raw"}, {"1", "first.raw"}, {"second", "second.raw"}}) {
    MountedImage mounted(image_, mountpoint_, {std::string("snapshot=") + name});
    ASSERT_TRUE(mounted.mounted());
    const auto same = shell("cmp " + mounted.flat() + " " + (dir_ / raw));
    EXPECT_EQ(same.exit_code, 0) << name << ": " << same.output;
    mounted.unmount();
  }
}

TEST_F(SnapshotMount, CannotBeWritten) {
  MountedImage mounted(image_, mountpoint_, {"snapshot=first"});
  ASSERT_TRUE(mounted.mounted());
  const auto outcome = shell("test $(stat -c %a " + mounted.flat() + ") = 444; ! dd if=/dev/zero of=" + mounted.flat() +
                             " bs=512 count=1 conv=notrunc 2>&1 | grep -q copied");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  mounted.unmount();
}

TEST_F(SnapshotMount, ThatDoesNotExistIsOneClearLine) {
  const auto outcome = flatimg({"mount", "-o", "snapshot=third", image_, mountpoint_});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.output.find("it has no snapshot third"), std::string::npos) << outcome.output;
  EXPECT_EQ(outcome.output.find('\n'), outcome.output.size() - 1) << outcome.output;
}

}  // namespace
}  // namespace flatimg::test
