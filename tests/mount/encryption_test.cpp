// Encrypted images through the mount: keys, odd and direct writes, a file system on a loop device.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "mount/mounted_image.h"

namespace flatimg::test {
namespace {

class EncryptedMount : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    const auto made =
        shell("cd " + dir_.path().string() +
              "; printf 'open sesame' > key; printf 'open sesam' > wrong; mkdir mnt; $FLATIMG create -q -f "
              "qcow2 --key-file key -o encrypt.format=luks,encrypt.iter-time=10 disk.qcow2 24M");
    ASSERT_EQ(made.exit_code, 0) << made.output;
  }

  [[nodiscard]] std::string key_option() const { return "key-file=" + (dir_ / "key"); }
  // QEMU's reading, as plain.raw.
  void convert_with_qemu() const {
    const auto converted = shell("cd " + dir_.path().string() + "; O=driver=qcow2,encrypt.key-secret=s,file.filename=" +
                                 "disk.qcow2; S=secret,id=s,file=key; qemu-img check --object $S --image-opts $O; "
                                 "qemu-img convert --object $S --image-opts $O -O raw plain.raw");
    ASSERT_EQ(converted.exit_code, 0) << converted.output;
  }

  TempDir dir_;
};

TEST_F(EncryptedMount, RefusesAWrongKeyAndMountsNothing) {
  const auto before = contents_of(dir_ / "disk.qcow2");
  const auto refused = flatimg({"mount", "-o", "key-file=" + (dir_ / "wrong"), dir_ / "disk.qcow2", dir_ / "mnt"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.output.find("the passphrase is wrong"), std::string::npos) << refused.output;
  EXPECT_EQ(refused.output.find("sesam"), std::string::npos);
  const auto missing = flatimg({"mount", "-o", "key-file=/no/such/key", dir_ / "disk.qcow2", dir_ / "mnt"});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_NE(missing.output.find("/no/such/key: cannot open the key file"), std::string::npos) << missing.output;
  EXPECT_NE(run({"mountpoint", "-q", dir_ / "mnt"}).exit_code, 0);
  EXPECT_EQ(contents_of(dir_ / "disk.qcow2"), before);
}

TEST_F(EncryptedMount, WithoutTerminalAndKeyNamesTheOption) {
  const auto refused = shell("$FLATIMG mount " + (dir_ / "disk.qcow2") + " " + (dir_ / "mnt") + " < /dev/null");
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.output.find("key-file=FILE"), std::string::npos) << refused.output;
}

TEST_F(EncryptedMount, AsksOnATerminalWithoutShowingTheAnswer) {
  if (!has_program("script")) GTEST_SKIP() << "script is not installed";
  const std::string mount = "$FLATIMG mount " + (dir_ / "disk.qcow2") + " " + (dir_ / "mnt");
  const auto asked =
      shell("export FLATIMG; { sleep 1; echo 'open sesame'; sleep 3; } | timeout 30 script -qec '" + mount +
            "' /dev/null; mountpoint -q " + (dir_ / "mnt") + "; $FLATIMG umount " + (dir_ / "mnt"));
  EXPECT_EQ(asked.exit_code, 0) << asked.output;
  EXPECT_NE(asked.output.find("Passphrase for "), std::string::npos) << asked.output;
}

TEST_F(EncryptedMount, SnapshotsAreReadWithTheSameKey) {
  const std::string disk = dir_ / "mnt/disk.qcow2";
  MountedImage mounted(dir_ / "disk.qcow2", dir_ / "mnt", {key_option()});
  ASSERT_TRUE(mounted.mounted());
  const auto told =
      shell("set -e; printf first | dd of=" + disk + " conv=notrunc status=none; $FLATIMG snapshot -c one " + disk +
            "; printf other | dd of=" + disk + " conv=notrunc status=none; head -c 5 " +
            (dir_ / "mnt/.flatimg/disk.qcow2/snapshots/one") + "; head -c 5 " + disk);
  EXPECT_EQ(told.output, "firstother");
  mounted.unmount();
}

TEST_F(EncryptedMount, TheKeyFileIsNeededOnlyForAMoment) {
  MountedImage mounted(dir_ / "disk.qcow2", dir_ / "mnt", {key_option()});
  ASSERT_TRUE(mounted.mounted());
  std::filesystem::remove(dir_ / "key");
  const auto open_files = shell("ls -l /proc/" + std::to_string(mounted.daemon()) + "/fd");
  EXPECT_EQ(open_files.output.find("key"), std::string::npos) << open_files.output;
  mounted.unmount();
}

TEST_F(EncryptedMount, TakesOddAndDirectWritesAndQemuReadsThem) {
  {
    MountedImage mounted(dir_ / "disk.qcow2", dir_ / "mnt", {key_option()});
    ASSERT_TRUE(mounted.mounted());
    const auto written = shell(
        "F=" + mounted.flat() + "; cd " + dir_.path().string() +
        "; cp $F model; for f in $F model; do printf hello | dd of=$f bs=1 seek=1000001 conv=notrunc status=none; "
        "fallocate -p -o 2M -l 1M $f; fallocate -z -o 3000001 -l 70001 $f; done; "
        "head -c 3000000 /dev/urandom > noise; "
        "for f in $F model; do dd if=noise of=$f bs=512 count=1001 seek=7 oflag=direct conv=notrunc status=none; "
        "dd if=noise of=$f bs=70001 count=40 seek=100 conv=notrunc status=none; done; sync $F; cmp $F model");
    EXPECT_EQ(written.exit_code, 0) << written.output;
    mounted.unmount();
  }
  convert_with_qemu();
  EXPECT_EQ(run({"cmp", dir_ / "plain.raw", dir_ / "model"}).exit_code, 0);
}

TEST_F(EncryptedMount, CarriesAFileSystemOnALoopDevice) {
  if (const auto why = why_no_loop_devices(); !why.empty()) GTEST_SKIP() << why;
  {
    MountedImage mounted(dir_ / "disk.qcow2", dir_ / "mnt", {key_option()});
    ASSERT_TRUE(mounted.mounted());
    {
      const LoopDevice loop(mounted.flat());
      const auto used = shell(
          "cd " + dir_.path().string() + "; trap 'umount fs 2>/dev/null || true' EXIT; mkdir fs; mkfs.ext4 -q " +
          loop.path() + "; mount " + loop.path() +
          " fs; head -c 9000000 /dev/urandom > noise; cp noise fs/a; sync -f fs; cmp noise fs/a; fstrim fs || true; "
          "umount fs; e2fsck -fn " +
          loop.path());
      EXPECT_EQ(used.exit_code, 0) << used.output;
    }
    mounted.unmount();
  }
  {
    MountedImage again(dir_ / "disk.qcow2", dir_ / "mnt", {key_option()});
    ASSERT_TRUE(again.mounted());
    again.unmount();
  }
  convert_with_qemu();
  const auto checked = shell("e2fsck -fn " + (dir_ / "plain.raw"));
  EXPECT_EQ(checked.exit_code, 0) << checked.output;
}

TEST_F(EncryptedMount, AnOverlayOverItIsEncryptedAsWell) {
  const std::string secret = "very confidential words that nobody else must read";
  {
    MountedImage mounted(dir_ / "disk.qcow2", dir_ / "mnt", {key_option(), "overlay=" + (dir_ / "top.qcow2")});
    ASSERT_TRUE(mounted.mounted());
    const auto written = shell("printf '" + secret + "' | dd of=" + mounted.flat() + " conv=notrunc status=none");
    EXPECT_EQ(written.exit_code, 0) << written.output;
    mounted.unmount();
  }
  EXPECT_EQ(contents_of(dir_ / "top.qcow2").find("confidential"), std::string::npos);
  MountedImage mounted(dir_ / "disk.qcow2", dir_ / "mnt", {key_option(), "overlay=" + (dir_ / "top.qcow2")});
  ASSERT_TRUE(mounted.mounted());
  EXPECT_EQ(contents_of(mounted.flat()).substr(0, secret.size()), secret);
  mounted.unmount();
}

}  // namespace
}  // namespace flatimg::test
