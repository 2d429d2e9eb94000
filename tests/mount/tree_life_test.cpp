// A directory of images from its mount to its end: over itself, overlays, many images at once, other users, kill -9.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "mount/mounted_tree.h"

namespace flatimg::test {
namespace {

using TreeLife = MountedTree;

TEST_F(TreeLife, ADirectoryIsMountedOverItselfAndNobodyNeedsToKnow) {
  const std::string image = make_image("disk.qcow2");
  MountedImage mounted(source_, source_, {"threads=1"});
  ASSERT_TRUE(mounted.mounted());
  expect_success("qemu-io -f raw -c 'read -P 1 0 1M' -c 'write -P 7 2M 3M' -c flush " + image);
  expect_success("qemu-io -f raw -t none -c 'read -P 7 2M 3M' -c 'write -P 8 4M 1M' " + image);
  expect_success("echo text > " + source_ + "/notes; cp " + image + " " + source_ + "/copy.raw; cmp " + image + " " +
                 source_ + "/copy.raw; ls -la " + source_ + " " + source_ + "/deep");
  mounted.unmount();
  expect_success("qemu-img check -q " + image + "; qemu-io -c 'read -P 7 2M 2M' -c 'read -P 8 4M 1M' " + image +
                 " | grep -v failed | grep -c ops; grep -q text " + source_ + "/notes");
}

TEST_F(TreeLife, BackingFilesInTheDirectoryAreFoundAlsoBeneathItsOwnMount) {
  make_image("base.qcow2", "5");
  expect_success("cd " + source_ +
                 "; qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 over.qcow2; qemu-img create -q -f qcow2 -b " +
                 source_ + "/base.qcow2 -F qcow2 deep/absolute.qcow2; ln -s " + source_ +
                 "/base.qcow2 link; qemu-img create -q -f qcow2 -b link -F qcow2 linked.qcow2");
  MountedImage mounted(source_, source_, {"threads=1"});
  ASSERT_TRUE(mounted.mounted());
  expect_success("cd " + source_ +
                 "; cmp over.qcow2 base.qcow2; cmp deep/absolute.qcow2 base.qcow2; echo x | dd of=over.qcow2 " +
                 "conv=notrunc status=none");
  expect_failure("head -c 1 " + source_ + "/linked.qcow2", "ermission denied");
  mounted.unmount();
  expect_success("cd " + source_ + "; qemu-img check -q over.qcow2; qemu-img check -q base.qcow2");
}

TEST_F(TreeLife, AnImageNamesNothingOutsideTheDirectory) {
  const std::string secret = dir_.write("secret", std::string(1 << 20, 's'));
  expect_success("qemu-img create -q -f qcow2 -b " + secret + " -F raw " + source_ + "/spy.qcow2");
  {
    MountedImage mounted(source_, flat_);
    ASSERT_TRUE(mounted.mounted());
    expect_failure("head -c 1 " + flat_ + "/spy.qcow2", "ermission denied");
    mounted.unmount();
  }
  MountedImage mounted(source_, flat_, {"allow-path=" + dir_.path().string()});
  expect_success("cmp " + flat_ + "/spy.qcow2 " + secret);
  mounted.unmount();
}

TEST_F(TreeLife, OverlaysTakeTheWritesAndTheDirectoryIsNeverWritten) {
  make_image("deep/disk.qcow2", "3");
  make_image("other.qcow2", "4");
  const std::string overlays = dir_ / "overlays";
  expect_success("echo text > " + source_ + "/notes");
  const std::string before = shell("cd " + source_ + "; find . -type f | sort | xargs sha256sum").output;
  for (int round = 0; round < 2; ++round) {
    MountedImage mounted(source_, flat_, {"overlay=" + overlays});
    ASSERT_TRUE(mounted.mounted());
    expect_success("qemu-io -f raw -c 'read -P 3 512k 512k' -c 'write -P 9 0 64k' " + flat_ +
                   "/deep/disk.qcow2 | grep -q wrote");
    expect_success("qemu-io -r -f raw -c 'read -P 4 0 1M' " + flat_ + "/other.qcow2 > /dev/null; test ! -e " +
                   overlays + "/other.qcow2");
    expect_failure("echo x >> " + flat_ + "/notes", "Read-only");
    expect_failure("rm " + flat_ + "/other.qcow2", "Read-only");
    expect_failure("touch " + flat_ + "/new", "Read-only");
    expect_failure("chmod 777 " + flat_ + "/notes", "Read-only");
    mounted.unmount();
    expect_success("qemu-img check -q " + overlays +
                   "/deep/disk.qcow2; qemu-io -r -c 'read -P 9 0 64k' -c 'read -P 3 64k 64k' " + overlays +
                   "/deep/disk.qcow2 | grep -vq failed");
  }
  EXPECT_EQ(shell("cd " + source_ + "; find . -type f | sort | xargs sha256sum").output, before);
}

TEST_F(TreeLife, AHundredImagesAreOpenOnOneBudget) {
  make_image("image");
  expect_success("cd " + source_ + "; for n in $(seq 100); do cp image $n.qcow2; done");
  MountedImage mounted(source_, flat_, {"cache-size=26M"});
  ASSERT_TRUE(mounted.mounted());
  Conversation holder({"bash", "-c",
                       "for n in $(seq 100); do eval \"exec $((n + 10))<> " + flat_ +
                           "/$n.qcow2\"; echo $n >&$((n + 10)); done; echo open; read line"});
  holder.read_until("open");
  const auto status = flatimg({"status", "--output=json", flat_});
  EXPECT_NE(status.output.find(source_ + "/100.qcow2"), std::string::npos) << status.output;
  expect_success("exec 3< " + flat_ + "/image 4< " + flat_ + "/1.qcow2");
  holder.finish();
  wait_until_closed();
  expect_success("for n in 1 50 100; do qemu-img check -q " + source_ + "/$n.qcow2; qemu-io -r -c 'read -v 0 4' " +
                 source_ + "/$n.qcow2 | grep -q \"$n\"; done");
  mounted.unmount();
}

TEST_F(TreeLife, MoreImagesThanTheBudgetAllowsAreRefused) {
  make_image("1.qcow2");
  make_image("2.qcow2");
  make_image("3.qcow2");
  MountedImage mounted(source_, flat_, {"cache-size=512K"});
  ASSERT_TRUE(mounted.mounted());
  expect_failure("cd " + flat_ + "; exec 3< 1.qcow2 4< 2.qcow2 5< 3.qcow2", "oo many open files");
  mounted.unmount();
}

TEST_F(TreeLife, ThousandsOfFilesAreListedAndNoneIsOpened) {
  make_image("image", "1", "1M");
  expect_success("cd " + source_ +
                 "; for n in $(seq 3000); do echo $n > file$n; done; for n in $(seq 50); do cp image $n.qcow2; done");
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  EXPECT_EQ(shell("ls -l " + flat_ + " | wc -l").output, "3053\n");
  EXPECT_EQ(shell("ls -l " + flat_ + " | grep -c ' 1048576 '").output, "51\n");
  EXPECT_EQ(shell("find " + flat_ + " -name 'file*' -size -2 | wc -l").output, "3000\n");
  const auto status = flatimg({"status", "--output=json", flat_});
  EXPECT_NE(status.output.find("\"open-images\": {}"), std::string::npos) << status.output;
  expect_success("rm " + flat_ + "/file*; test $(ls " + source_ + " | wc -l) = 52");
  mounted.unmount();
}

TEST_F(TreeLife, OtherUsersMayDoWhatTheFilesAllow) {
  if (!has_program("setpriv")) GTEST_SKIP() << "setpriv is not installed";
  make_image("disk.qcow2");
  expect_success("chmod 755 " + dir_.path().string() + "; cd " + source_ +
                 "; chmod 777 .; chmod 600 disk.qcow2; echo secret > " +
                 "secret; chmod 600 secret; echo group > group; chgrp 4321 group; chmod 640 group; chmod 755 deep");
  MountedImage mounted(source_, flat_, {"allow_other"});
  ASSERT_TRUE(mounted.mounted());
  const std::string as_user = "setpriv --reuid 1234 --regid 1234 --clear-groups ";
  expect_failure(as_user + "cat " + flat_ + "/secret", "ermission denied");
  expect_failure(as_user + "head -c 1 " + flat_ + "/disk.qcow2", "ermission denied");
  expect_failure(as_user + "touch " + flat_ + "/deep/file", "ermission denied");
  expect_failure(as_user + "chmod 666 " + flat_ + "/secret", "not permitted");
  expect_failure(as_user + "cat " + flat_ + "/group", "ermission denied");
  expect_success("setpriv --reuid 1234 --regid 1234 --groups 4321 cat " + flat_ + "/group | grep -q group");
  expect_success(as_user + "touch " + flat_ + "/own; " + as_user + "mkdir " + flat_ + "/folder; test $(stat -c %u:%g " +
                 source_ + "/own) = 1234:1234; test $(stat -c %u:%g " + source_ + "/folder) = 1234:1234; rm " + flat_ +
                 "/own");
  expect_success("chown 1234 " + source_ + "/disk.qcow2; " + as_user + "head -c 1 " + flat_ +
                 "/disk.qcow2 > /dev/null");
  mounted.unmount();
}

TEST_F(TreeLife, TheAccessListOfAFileIsRespected) {
  if (!has_program("setpriv") || !has_program("setfacl")) GTEST_SKIP() << "setpriv or setfacl is not installed";
  expect_success("chmod 755 " + dir_.path().string() + "; cd " + source_ + "; echo text > file; chmod 644 file");
  if (shell("setfacl -m u:1234:--- " + source_ + "/file").exit_code != 0) GTEST_SKIP() << "no access lists here";
  MountedImage mounted(source_, flat_, {"allow_other"});
  expect_failure("setpriv --reuid 1234 --regid 1234 --clear-groups cat " + flat_ + "/file", "ermission denied");
  expect_success("setpriv --reuid 1235 --regid 1235 --clear-groups cat " + flat_ + "/file");
  mounted.unmount();
}

TEST_F(TreeLife, TwoImagesAreWrittenAtOnce) {
  if (!has_program("fio")) GTEST_SKIP() << "fio is not installed";
  make_image("a.qcow2");
  make_image("b.qcow2");
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  const std::string job =
      " --rw=randwrite --bsrange=4k-64k --size=8m --offset=4m --verify=crc32c --allow_file_create=0 --verify_state_save=0 ";
  expect_success("fio --minimal --ioengine=psync" + job + "--name=a --filename=" + flat_ + "/a.qcow2 --direct=1" + job +
                 "--name=b --filename=" + flat_ + "/b.qcow2" + job + " > /dev/null");
  mounted.unmount();
  expect_success("qemu-img check -q " + source_ + "/a.qcow2; qemu-img check -q " + source_ + "/b.qcow2");
}

TEST_F(TreeLife, MemoryMapsAndLoopDevicesWork) {
  if (const auto why = why_no_loop_devices(); !why.empty()) GTEST_SKIP() << why;
  make_image("disk.qcow2");
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  expect_success("python3 -c \"import mmap; f = open('" + flat_ +
                 "/disk.qcow2', 'r+b'); m = mmap.mmap(f.fileno(), 0); " + "m[5000:5005] = b'hello'; m.flush()\"");
  for (const char* direct : {"--direct-io=off", "--direct-io=on"}) {
    LoopDevice loop(flat_ + "/disk.qcow2", {direct});
    ASSERT_FALSE(loop.path().empty());
    expect_success("dd if=" + loop.path() + " bs=1 skip=5000 count=5 status=none | grep -q hello; mkfs.ext4 -q -F " +
                   loop.path() + "; e2fsck -fn " + loop.path() + "; printf hello | dd of=" + loop.path() +
                   " bs=1 seek=5000 conv=notrunc,fsync status=none");
  }
  wait_until_closed();
  expect_success("qemu-img check -q " + source_ + "/disk.qcow2");
  mounted.unmount();
}

TEST_F(TreeLife, HolesAgreeWithTheImage) {
  make_image("disk.qcow2");
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  expect_success("exec 3<> " + flat_ + "/disk.qcow2; test $(stat -c %b " + flat_ + "/disk.qcow2) = 2048; " +
                 "cp --sparse=auto " + flat_ + "/disk.qcow2 " + (dir_ / "copy") + "; test $(stat -c %b " +
                 (dir_ / "copy") + ") -le 2100; fallocate -p -o 0 -l 512k " + flat_ +
                 "/disk.qcow2; test $(stat -c %b " + flat_ + "/disk.qcow2) = 1024; cmp -n 524288 /dev/zero " + flat_ +
                 "/disk.qcow2");
  mounted.unmount();
}

TEST_F(TreeLife, UnmountingClosesWhatIsOpenAndTheImageIsFinal) {
  make_image("disk.qcow2");
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  const int pid = mounted.daemon();
  Conversation holder({"bash", "-c", "exec 3<> " + flat_ + "/disk.qcow2; printf hello >&3; echo open; read line"});
  holder.read_until("open");
  EXPECT_NE(flatimg({"umount", flat_}).exit_code, 0);  // busy
  ASSERT_EQ(::kill(pid, SIGTERM), 0);
  for (int n = 0; n < 1000 && mounted.daemon() != 0; ++n) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(mounted.daemon(), 0) << "the daemon did not end";
  expect_success("qemu-img check -q " + source_ + "/disk.qcow2; qemu-io -r -c 'read -v 0 16' " + source_ +
                 "/disk.qcow2 | grep -q hello");
  holder.finish();
}

TEST_F(TreeLife, AfterKillTheDirectoryIsMountedOverItselfAgain) {
  const std::string image = make_image("disk.qcow2");
  MountedImage mounted(source_, source_);
  ASSERT_TRUE(mounted.mounted());
  expect_success("printf hello | dd of=" + image + " conv=notrunc,fsync status=none");
  ASSERT_EQ(::kill(mounted.daemon(), SIGKILL), 0);
  const auto lives = [&] { return mounted.daemon() != 0 || mounted.supervisor() != 0; };
  for (int n = 0; n < 500 && lives(); ++n) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  MountedImage again(source_, source_);
  ASSERT_TRUE(again.mounted());
  expect_success("head -c 5 " + image + " | grep -q hello");
  again.unmount();
  expect_success("qemu-img check -q " + image);
}

}  // namespace
}  // namespace flatimg::test
