// The flat file in the hands of ordinary Unix tools, loop devices and file systems.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mount/mounted_image.h"

namespace flatimg::test {
namespace {

class OrdinaryTools : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    ::mkdir(mountpoint_.c_str(), 0755);
  }

  void create(const std::string& size, const std::string& options = "") {
    const auto made = shell("qemu-img create -q -f qcow2 " + options + " " + image_ + " " + size);
    ASSERT_EQ(made.exit_code, 0) << made.output;
  }
  void expect_clean() {
    const auto check = run({"qemu-img", "check", image_});
    EXPECT_EQ(check.exit_code, 0) << check.output;
  }

  TempDir dir_;
  std::string image_ = dir_ / "disk.qcow2";
  std::string mountpoint_ = dir_ / "mnt";
};

#define EXPECT_RUNS(script)                              \
  do {                                                   \
    const auto finished = shell(script);                 \
    EXPECT_EQ(finished.exit_code, 0) << finished.output; \
  } while (false)

class FileSystemOnLoop : public OrdinaryTools, public ::testing::WithParamInterface<const char*> {};

TEST_P(FileSystemOnLoop, SurvivesACopiedTreeAndShrinksWhenTrimmed) {
  if (const auto why = why_no_loop_devices(); !why.empty()) GTEST_SKIP() << why;
  create("512M");
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  {
    LoopDevice loop(mounted.flat(), {std::string("--direct-io=") + GetParam()});
    ASSERT_FALSE(loop.path().empty());
    const std::string tree = dir_ / "tree";
    EXPECT_RUNS("mkfs.ext4 -q " + loop.path() + "; mkdir " + tree + "; mount " + loop.path() + " " + tree +
                "; trap 'mountpoint -q " + tree + " && umount " + tree +
                "' EXIT"
                "; cp -a /usr/include " +
                tree + "/; sync; diff -r --no-dereference /usr/include " + tree + "/include; umount " + tree +
                "; e2fsck -fn " + loop.path());
    const auto blocks = [&] {
      struct stat status {};
      ::stat(image_.c_str(), &status);
      return status.st_blocks;
    };
    const auto before = blocks();
    EXPECT_RUNS("mount " + loop.path() + " " + tree + "; trap 'mountpoint -q " + tree + " && umount " + tree +
                "' EXIT; rm -r " + tree + "/include; sync; fstrim " + tree + "; umount " + tree + "; e2fsck -fn " +
                loop.path() + "; sync " + mounted.flat());
    EXPECT_LT(blocks(), before / 2);
  }
  mounted.unmount();
  expect_clean();
}

INSTANTIATE_TEST_SUITE_P(DirectIo, FileSystemOnLoop, ::testing::Values("off", "on"),
                         [](const auto& param) { return std::string(param.param); });

TEST_F(OrdinaryTools, CopyAndArchiveKeepHoles) {
  create("64M");
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  const std::string& flat = mounted.flat();
  EXPECT_RUNS("head -c 3M /dev/urandom > " + (dir_ / "data") + "; dd if=" + (dir_ / "data") + " of=" + flat +
              " bs=1M seek=7 conv=notrunc,fsync status=none; test $(stat -c %s " + flat + ") = 67108864");
  EXPECT_RUNS("cp --sparse=auto " + flat + " " + (dir_ / "copy") + "; cmp " + flat + " " + (dir_ / "copy") +
              "; test $(du -k " + (dir_ / "copy") + " | cut -f1) -lt 4000");
  EXPECT_RUNS("cd " + mountpoint_ + "; tar -cSf " + (dir_ / "disk.tar") + " disk.qcow2; test $(stat -c %s " +
              (dir_ / "disk.tar") + ") -lt 4000000; mkdir " + (dir_ / "out") + "; tar -xSf " + (dir_ / "disk.tar") +
              " -C " + (dir_ / "out") + "; cmp disk.qcow2 " + (dir_ / "out/disk.qcow2"));
  EXPECT_RUNS("test \"$(md5sum < " + flat + ")\" = \"$(md5sum < " + (dir_ / "copy") + ")\"");
  EXPECT_RUNS("qemu-img map --output=json -f raw " + flat + " | grep -q '\"start\": 7340032, \"length\": 3145728'");
  mounted.unmount();
  expect_clean();
}

TEST_F(OrdinaryTools, FileNamesWhatIsInside) {
  create("16M");
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  EXPECT_RUNS("mkfs.ext4 -q -F " + mounted.flat() + "; file -s " + mounted.flat() + " | grep -q 'ext4 filesystem'");
}

TEST_F(OrdinaryTools, MappedMemoryReadsAndWrites) {
  create("16M");
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  const int fd = ::open(mounted.flat().c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  constexpr std::size_t kSize = 1 << 20;
  auto* bytes = static_cast<char*>(::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096 * 1000));
  ASSERT_NE(bytes, MAP_FAILED);
  EXPECT_EQ(bytes[5], 0);
  std::fill_n(bytes, kSize, 'm');
  EXPECT_EQ(::msync(bytes, kSize, MS_SYNC), 0);
  ::munmap(bytes, kSize);
  std::string back(kSize, '\0');
  EXPECT_EQ(::pread(fd, back.data(), kSize, 4096 * 1000), static_cast<ssize_t>(kSize));
  EXPECT_EQ(back, std::string(kSize, 'm'));
  ::close(fd);
  mounted.unmount();
  expect_clean();
  EXPECT_RUNS("qemu-io -f qcow2 -c 'read -P 109 4096000 1M' " + image_ + " | grep -qv 'Pattern verification failed'");
}

TEST_F(OrdinaryTools, TruncationIsRefusedOrIgnored) {
  create("16M");
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  EXPECT_RUNS("echo data > " + mounted.flat() + "; test $(stat -c %s " + mounted.flat() + ") = 16777216");
  EXPECT_NE(shell("truncate -s 1M " + mounted.flat()).exit_code, 0);
  EXPECT_RUNS("truncate -s 16M " + mounted.flat());
  EXPECT_RUNS("head -c 5 " + mounted.flat() + " | grep -q data");
}

TEST_F(OrdinaryTools, FallocateModesDoWhatTheySay) {
  create("16M");
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  const std::string& flat = mounted.flat();
  EXPECT_RUNS("head -c 16M /dev/urandom | dd of=" + flat + " conv=notrunc,fsync bs=1M status=none; test $(stat -c %b " +
              flat + ") = 32768");
  EXPECT_RUNS("fallocate -p -o 1M -l 4M " + flat + "; test $(stat -c %b " + flat +
              ") = 24576; cmp -n 4194304 -i 1048576:0 " + flat + " /dev/zero");
  EXPECT_RUNS("fallocate -z -o 8M -l 1M " + flat + "; cmp -n 1048576 -i 8388608:0 " + flat + " /dev/zero");
  EXPECT_RUNS("fallocate -o 2M -l 1M " + flat + "; cmp -n 1048576 -i 2097152:0 " + flat + " /dev/zero");
  EXPECT_NE(shell("fallocate -c -o 0 -l 1M " + flat).exit_code, 0);
  EXPECT_NE(shell("fallocate -o 16M -l 1M " + flat).exit_code, 0);
  mounted.unmount();
  expect_clean();
}

}  // namespace
}  // namespace flatimg::test
