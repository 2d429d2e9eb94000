// mount(8), umount(8) and fstab with an installed tree. A mount namespace of its own has the installed programs where
// mount(8) looks for helpers, so that nothing of the machine changes.
#include <gtest/gtest.h>

#include <filesystem>

#include "mount/mounted_image.h"

namespace flatimg::test {
namespace {

class Mount8 : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    const auto namespaces =
        shell("unshare -m mount -t overlay -o lowerdir=" + dir_.path().string() + ":/usr/sbin none /usr/sbin");
    if (namespaces.exit_code != 0) GTEST_SKIP() << "no mount namespace with an overlay: " << namespaces.output;
    const auto made =
        shell("cd " + dir_.path().string() + "; mkdir m; touch file; qemu-img create -q -f qcow2 d.qcow2 32M;" +
              "DESTDIR=$PWD/tree cmake --install " FLATIMG_BUILD_TREE " --prefix /usr --strip --component program");
    ASSERT_EQ(made.exit_code, 0) << made.output;
  }

  // Runs a script in the directory of the image, where mount(8) finds the installed helpers.
  Finished installed(const std::string& script) {
    dir_.write(
        "script",
        "set -eu; gone() { if findmnt m; then exit 1; fi; }; cd " + dir_.path().string() +
            "; for d in bin sbin; do mount -t overlay -o lowerdir=$PWD/tree/usr/$d:/usr/$d none /usr/$d; done; " +
            script);
    return run({"unshare", "-m", "bash", dir_ / "script"});
  }
  void expect_works(const std::string& script) {
    const auto outcome = installed(script);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
    EXPECT_EQ(shell("qemu-img check -q " + (dir_ / "d.qcow2")).exit_code, 0);
  }

  TempDir dir_;
};

TEST_F(Mount8, InstallsHelpersThatLeadToTheProgram) {
  for (const char* name : {"mount.flatimg", "umount.flatimg", "umount.fuse.flatimg"}) {
    const auto helper = dir_.path() / "tree/usr/sbin" / name;
    EXPECT_TRUE(std::filesystem::is_symlink(helper)) << helper;
    EXPECT_TRUE(std::filesystem::exists(helper)) << helper;
  }
}

TEST_F(Mount8, MountsByTheTypeFlatimgAndUnmountsByItsPath) {
  expect_works(
      "mount -t flatimg d.qcow2 m -o nofail,x-systemd.automount,noatime,cache-size=8M; "
      "findmnt -n -o FSTYPE,OPTIONS m | grep -q '^fuse.flatimg *rw,nosuid,nodev,noexec,noatime'; "
      "echo hello | dd of=m/d.qcow2 conv=notrunc status=none; umount m; gone; "
      "qemu-io -r -c 'read -v 0 5' d.qcow2 | grep -q hello");
}

TEST_F(Mount8, MountsByTheTypeFuseDotFlatimg) {
  expect_works("mount -t fuse.flatimg d.qcow2 m -o ro; findmnt -n -o OPTIONS m | grep -q '^ro'; umount m; gone");
}

TEST_F(Mount8, MountsOnAFile) {
  expect_works("mount -t flatimg d.qcow2 file; test $(stat -c %s file) = 33554432; umount file; test ! -s file");
}

TEST_F(Mount8, FollowsFstab) {
  expect_works(
      "echo \"$PWD/d.qcow2 $PWD/m flatimg ro,nofail,_netdev,user,x-systemd.requires=a.service 0 0\" > fstab; "
      "mount -T fstab $PWD/m; findmnt -n -o OPTIONS m | grep -q '^ro'; umount m; gone");
}

TEST_F(Mount8, GivesTheExitStatusOfMount8) {
  expect_works(
      "status() { local got=0; \"$@\" 2> words || got=$?; echo $got; }; "
      "test $(status mount -t flatimg none.qcow2 m) = 32; grep -q none.qcow2 words; "
      "test $(status mount -t flatimg d.qcow2 m -o bogus) = 1; grep -q bogus words; "
      "test $(status mount -t flatimg -s d.qcow2 m -o bogus) = 0; umount m; "
      "test $(status mount -f -t flatimg d.qcow2 m) = 0; gone; "
      "test $(status umount.flatimg m) = 32");
}

TEST_F(Mount8, ABusyMountStaysAndSaysSo) {
  expect_works(
      "mount -t flatimg d.qcow2 m; exec 7< m/d.qcow2; if umount m 2> words; then exit 1; fi; grep -qi busy words; "
      "findmnt m > list; exec 7<&-; umount m; gone");
}

}  // namespace
}  // namespace flatimg::test
