// What a user types and sees: shapes of the mount, modes, locks, errors, the end.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "mount/one_image.h"

namespace flatimg::test {
namespace {

class Behaviour : public OneImage {
 protected:
  // The mount must fail with one line that has these words, and leave nothing.
  void expect_refused(const std::vector<std::string>& arguments, const std::string& words) {
    std::vector<std::string> all{"mount"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const auto outcome = flatimg(all);
    EXPECT_EQ(outcome.exit_code, 1) << outcome.output;
    EXPECT_EQ(outcome.output.find('\n'), outcome.output.size() - 1) << outcome.output;
    EXPECT_EQ(outcome.output.rfind("flatimg: ", 0), 0u) << outcome.output;
    EXPECT_NE(outcome.output.find(words), std::string::npos) << outcome.output;
    EXPECT_NE(run({"mountpoint", "-q", mountpoint_}).exit_code, 0);
  }
};

TEST_F(Behaviour, AFileMountpointIsTheDisk) {
  const std::string file = dir_.write("flat", "");
  MountedImage mounted(image_, file);
  ASSERT_TRUE(mounted.mounted());
  EXPECT_EQ(shell("test $(stat -c %s " + file + ") = 16777216; echo hello | dd of=" + file +
                  " bs=512 seek=9 conv=notrunc,fsync status=none; dd if=" + file +
                  " bs=512 skip=9 count=1 status=none | grep -q hello")
                .exit_code,
            0);
  mounted.unmount();
  EXPECT_EQ(std::filesystem::file_size(file), 0u);
  EXPECT_EQ(run({"qemu-img", "check", image_}).exit_code, 0);
}

TEST_F(Behaviour, AnImageCanBeMountedOverItself) {
  MountedImage mounted(image_, image_);
  ASSERT_TRUE(mounted.mounted());
  EXPECT_EQ(std::filesystem::file_size(image_), 16777216u);
  EXPECT_EQ(shell("echo hello > " + image_ + "; head -c 5 " + image_ + " | grep -q hello").exit_code, 0);
  mounted.unmount();
  EXPECT_LT(std::filesystem::file_size(image_), 16777216u);
  EXPECT_EQ(run({"qemu-img", "check", image_}).exit_code, 0);
}

TEST_F(Behaviour, TheShorthandAndTheSuffixWork) {
  const auto outcome = flatimg({image_, mountpoint_, "-o", "suffix=.raw"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
  EXPECT_TRUE(std::filesystem::exists(mountpoint_ + "/disk.qcow2.raw"));
  EXPECT_EQ(flatimg({"umount", mountpoint_}).exit_code, 0);
}

TEST_F(Behaviour, ReadOnlyMountsRefuseWriters) {
  const std::string before = contents_of(image_);
  {
    MountedImage mounted(image_, mountpoint_, {"ro"});
    ASSERT_TRUE(mounted.mounted());
    EXPECT_EQ(::open(mounted.flat().c_str(), O_RDWR | O_CLOEXEC), -1);
    EXPECT_EQ(errno, EROFS);
    struct stat status {};
    ::stat(mounted.flat().c_str(), &status);
    EXPECT_EQ(status.st_mode & 0777, 0444u);
    mounted.unmount();
  }
  EXPECT_EQ(contents_of(image_), before);
}

TEST_F(Behaviour, AnImageMarkedCorruptIsServedReadOnly) {
  ASSERT_EQ(shell("printf '\\x02' | dd of=" + image_ + " bs=1 seek=79 conv=notrunc status=none").exit_code, 0);
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  EXPECT_EQ(::open(mounted.flat().c_str(), O_RDWR | O_CLOEXEC), -1);
  EXPECT_EQ(errno, EACCES);
  struct stat status {};
  ::stat(mounted.flat().c_str(), &status);
  EXPECT_EQ(status.st_mode & 0777, 0444u);
  mounted.unmount();
}

TEST_F(Behaviour, OnlyTheDiskShowsInTheDirectory) {
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  EXPECT_EQ(run({"ls", "-A", mountpoint_}).output, "disk.qcow2\n");
  EXPECT_EQ(shell("grep -q '\"' " + mountpoint_ + "/.flatimg/disk.qcow2/stats.json").exit_code, 0);
  EXPECT_EQ(shell("findmnt -n -o FSTYPE " + mountpoint_).output, "fuse.flatimg\n");
  EXPECT_EQ(shell("findmnt -n -o OPTIONS " + mountpoint_ + " | grep -q nosuid,nodev").exit_code, 0);
  mounted.unmount();
}

TEST_F(Behaviour, ASecondOpenerIsRefusedAndTheHolderNamed) {
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  const auto info = run({"qemu-img", "info", image_});
  EXPECT_NE(info.exit_code, 0);
  EXPECT_NE(info.output.find("lock"), std::string::npos) << info.output;
  ::mkdir((dir_ / "second").c_str(), 0755);
  const auto second = flatimg({"mount", image_, dir_ / "second"});
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_NE(second.output.find("flatimg"), std::string::npos) << second.output;
  EXPECT_NE(second.output.find("pid " + std::to_string(mounted.daemon())), std::string::npos) << second.output;
  mounted.unmount();
  EXPECT_EQ(run({"qemu-img", "info", image_}).exit_code, 0);
}

TEST_F(Behaviour, CommandsThatChangeAnImageAreRefusedWhileItIsMounted) {
  const std::string over = dir_ / "over.qcow2";
  ASSERT_EQ(shell("qemu-img create -q -f qcow2 -b " + image_ + " -F qcow2 " + over).exit_code, 0);
  MountedImage mounted(over, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  const std::string before = shell("sha256sum < " + over + "; sha256sum < " + image_).output;
  using Words = std::vector<std::string>;
  for (const Words& command : {Words{"check", "-r", "all", over}, Words{"resize", over, "+1M"}, Words{"commit", over},
                               Words{"rebase", "-u", "-b", "", over}, Words{"snapshot", "-a", "1", over},
                               Words{"resize", image_, "+1M"}, Words{"check", "-r", "leaks", image_}}) {
    const auto refused = flatimg(command);
    EXPECT_EQ(refused.exit_code, 1) << command.front();
    EXPECT_NE(refused.output.find("flatimg"), refused.output.rfind("flatimg")) << refused.output;  // the holder
    EXPECT_EQ(refused.output.find('\n'), refused.output.size() - 1) << refused.output;
  }
  EXPECT_EQ(shell("sha256sum < " + over + "; sha256sum < " + image_).output, before);
  mounted.unmount();
}

TEST_F(Behaviour, WhatCannotBeMountedIsRefusedInOneLine) {
  expect_refused({dir_ / "absent.qcow2", mountpoint_}, "No such file");
  expect_refused({image_, dir_ / "absent"}, "No such file");
  expect_refused({"-o", "format=nonsense", image_, mountpoint_}, "nonsense");
  expect_refused({"-o", "nonsense", image_, mountpoint_}, "nonsense");
  expect_refused({"-o", "cache-size=lots", image_, mountpoint_}, "lots");
  expect_refused({"-o", "format=qcow2", dir_.write("text", std::string(4096, 'x')), mountpoint_}, "not a qcow2 image");
  ASSERT_EQ(run({"mkfifo", dir_ / "fifo"}).exit_code, 0);
  expect_refused({dir_ / "fifo", mountpoint_}, "FIFO");
  expect_refused({dir_.write("cut.qcow2", contents_of(image_).substr(0, 100)), mountpoint_}, "cut.qcow2");
  expect_refused({dir_.write("cut.qcow2", contents_of(image_).substr(0, 70000)), mountpoint_}, "truncated");
}

TEST_F(Behaviour, ABackingFileOutsideIsRefusedUntilAllowed) {
  TempDir elsewhere;
  const std::string base = elsewhere.write("base.raw", std::string(1 << 20, 'b'));
  ASSERT_EQ(run({"qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", image_}).exit_code, 0);
  expect_refused({image_, mountpoint_}, "allow-path");
  MountedImage mounted(image_, mountpoint_, {"allow-path=" + elsewhere.path().string()});
  ASSERT_TRUE(mounted.mounted());
  EXPECT_EQ(shell("cmp " + mounted.flat() + " " + base).exit_code, 0);
  mounted.unmount();
}

TEST_F(Behaviour, ARawImageCanBeMounted) {
  const std::string raw = dir_.write("disk.raw", std::string(1 << 20, 'r'));
  MountedImage mounted(raw, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  EXPECT_EQ(shell("cmp " + mounted.flat() + " " + raw).exit_code, 0);
  for (const std::string header : {"QFI\\xfb\\0\\0\\0\\3", "KDMV\\1", "conectix", "vhdxfile"}) {
    EXPECT_NE(shell("printf '" + header + "' | dd of=" + mounted.flat() + " conv=notrunc,fsync status=none").exit_code,
              0)
        << header;
  }
  EXPECT_EQ(shell("echo fine | dd of=" + mounted.flat() + " conv=notrunc,fsync status=none").exit_code, 0);
  mounted.unmount();
  EXPECT_EQ(contents_of(raw).substr(0, 5), "fine\n");
}

TEST_F(Behaviour, AnImageOfAnotherFormatIsShownAsItIsAndNotWrittenUnlessToldToBeRaw) {
  const std::string foreign = dir_ / "disk.vmdk";
  ASSERT_EQ(run({"qemu-img", "create", "-q", "-f", "vmdk", foreign, "10M"}).exit_code, 0);
  const auto told = flatimg({"mount", foreign, mountpoint_});
  EXPECT_EQ(told.exit_code, 0);
  EXPECT_NE(told.output.find("is a VMDK image"), std::string::npos) << told.output;
  const std::string flat = mountpoint_ + "/disk.vmdk";
  EXPECT_EQ(shell("cmp " + flat + " " + foreign + "; test $(stat -c %a " + flat + ") = 444").exit_code, 0);
  EXPECT_EQ(flatimg({"umount", mountpoint_}).exit_code, 0);
  MountedImage mounted(foreign, mountpoint_, {"format=raw"});
  ASSERT_TRUE(mounted.mounted());
  EXPECT_EQ(shell("cmp " + mounted.flat() + " " + foreign +
                  "; echo x | dd conv=notrunc status=none bs=1 seek=9000 of=" + mounted.flat())
                .exit_code,
            0);
  mounted.unmount();
}

TEST_F(Behaviour, IsNotMountedTwiceAtTheSamePlace) {
  MountedImage mounted(image_, mountpoint_, {"ro"});
  ASSERT_TRUE(mounted.mounted());
  const auto again = flatimg({"mount", "-o", "ro", image_, mountpoint_});
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_NE(again.output.find("already"), std::string::npos) << again.output;
  mounted.unmount();
  EXPECT_NE(run({"mountpoint", "-q", mountpoint_}).exit_code, 0);
}

TEST_F(Behaviour, ABackingFileThatWasReplacedIsNoticed) {
  const std::string base = dir_.write("base.raw", std::string(1 << 20, 'b'));
  std::filesystem::remove(image_);
  ASSERT_EQ(flatimg({"create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", image_}).exit_code, 0);
  const auto mount = [&] { return flatimg({"mount", image_, mountpoint_}); };
  const auto unmount = [&] { EXPECT_EQ(flatimg({"umount", mountpoint_}).exit_code, 0); };
  EXPECT_EQ(mount().output, "");
  unmount();
  dir_.write("base.raw", std::string(2 << 20, 'c'));
  const auto noticed = mount();
  EXPECT_EQ(noticed.exit_code, 0);
  EXPECT_NE(noticed.output.find("has another size than"), std::string::npos) << noticed.output;
  EXPECT_NE(noticed.output.find("backing=FILE"), std::string::npos) << noticed.output;
  unmount();
}

TEST_F(Behaviour, TerminationUnderLoadLosesNothingAcknowledged) {
  if (!has_program("fio")) GTEST_SKIP() << "fio is not installed";
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  const int pid = mounted.daemon();
  ASSERT_GT(pid, 0);
  ASSERT_EQ(shell("dd if=/dev/urandom of=" + (dir_ / "data") + " bs=1M count=4 status=none; dd if=" + (dir_ / "data") +
                  " of=" + mounted.flat() + " conv=notrunc bs=64k status=none")
                .exit_code,
            0);
  Conversation load({"fio", "--name=load", "--filename=" + mounted.flat(), "--offset=8m", "--size=8m", "--rw=randwrite",
                     "--bs=4k", "--ioengine=psync", "--time_based", "--runtime=20", "--allow_file_create=0"});
  std::this_thread::sleep_for(std::chrono::milliseconds(700));
  ASSERT_EQ(::kill(pid, SIGTERM), 0);
  for (int n = 0; n < 1000 && mounted.daemon() != 0; ++n) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(mounted.daemon(), 0) << "the daemon did not end";
  ::kill(load.process(), SIGKILL);
  EXPECT_EQ(run({"qemu-img", "check", image_}).exit_code, 0);
  EXPECT_EQ(shell("qemu-img convert -O raw " + image_ + " " + (dir_ / "after") + "; cmp -n 4194304 " + (dir_ / "data") +
                  " " + (dir_ / "after"))
                .exit_code,
            0);
}

}  // namespace
}  // namespace flatimg::test
