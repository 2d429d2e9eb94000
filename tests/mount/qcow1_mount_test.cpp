// qcow images (version 1) through the mount: a file system on a loop device, trimming, overlays.
#include <gtest/gtest.h>

#include <filesystem>

#include "mount/mounted_image.h"

namespace flatimg::test {
namespace {

class Qcow1Mount : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    std::filesystem::create_directory(dir_ / "mnt");
  }
  void must(const std::string& script) const {
    const auto finished = shell("cd " + dir_.path().string() + "; " + script);
    ASSERT_EQ(finished.exit_code, 0) << finished.output;
  }

  TempDir dir_;
};

class FileSystemInQcow1 : public Qcow1Mount, public ::testing::WithParamInterface<const char*> {};

TEST_P(FileSystemInQcow1, IsSoundForUsAndForQemu) {
  if (const auto why = why_no_loop_devices(); !why.empty()) GTEST_SKIP() << why;
  must(std::string("$FLATIMG create -q -f qcow ") + GetParam() + " disk.qcow 64M");
  MountedImage mounted(dir_ / "disk.qcow", dir_ / "mnt");
  ASSERT_TRUE(mounted.mounted());
  {
    LoopDevice loop(mounted.flat(), {"--direct-io=on"});
    ASSERT_FALSE(loop.path().empty());
    must(
        "mkfs.ext4 -q " + loop.path() + "; mkdir tree; mount " + loop.path() +
        " tree; trap 'mountpoint -q tree && umount tree' EXIT; cp -a /usr/include/linux tree/; sync; "
        "diff -r --no-dereference /usr/include/linux tree/linux; rm -r tree/linux/netfilter; fstrim tree; umount tree; "
        "e2fsck -fn " +
        loop.path());
  }
  must("cp --sparse=always " + mounted.flat() + " flat.raw");
  mounted.unmount();
  must("$FLATIMG check disk.qcow; qemu-img compare -f qcow -F raw disk.qcow flat.raw");
}

INSTANTIATE_TEST_SUITE_P(Made, FileSystemInQcow1, ::testing::Values("", "-o xen=sparse", "-o xen=preallocated"),
                         [](const auto& param) {
                           const std::string options = param.param;
                           return options.empty() ? "plain" : "xen_" + options.substr(options.find('=') + 1);
                         });

TEST_F(Qcow1Mount, AnOverlayMakesItWritableWithoutTouchingIt) {
  must("head -c 3M /dev/urandom > start.raw; qemu-img convert -f raw -O qcow start.raw disk.qcow; cp disk.qcow before");
  MountedImage mounted(dir_ / "disk.qcow", dir_ / "mnt", {"overlay=" + (dir_ / "changes.qcow2")});
  ASSERT_TRUE(mounted.mounted());
  must("for f in " + mounted.flat() +
       " start.raw; do printf hello | dd of=$f bs=1 seek=1000001 conv=notrunc status=none; done");
  mounted.unmount();
  must(
      "cmp disk.qcow before; qemu-img compare -f qcow2 -F raw changes.qcow2 start.raw; qemu-img info changes.qcow2 | "
      "grep 'backing file format: qcow$'");
}

TEST_F(Qcow1Mount, AnOpenImageIsLocked) {
  must("qemu-img create -q -f qcow disk.qcow 4M");
  MountedImage mounted(dir_ / "disk.qcow", dir_ / "mnt");
  ASSERT_TRUE(mounted.mounted());
  EXPECT_NE(run({"qemu-io", "-f", "qcow", "-c", "write 0 512", dir_ / "disk.qcow"}).exit_code, 0);
  mounted.unmount();
  EXPECT_EQ(run({"qemu-io", "-f", "qcow", "-c", "write 0 512", dir_ / "disk.qcow"}).exit_code, 0);
}

}  // namespace
}  // namespace flatimg::test
