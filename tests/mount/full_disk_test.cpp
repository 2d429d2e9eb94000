// A host that runs out of space (promise R6): requests fail with ENOSPC, what was acknowledged is flushed and stays,
// the image stays clean, and work goes on when there is space again.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <random>

#include "mount/mounted_image.h"

namespace flatimg::test {
namespace {

struct Host {
  std::string name;
  std::string make;  // a file system of about 12 MiB on $D
};

struct FullDiskCase {
  Host host;
  std::string options;  // of qemu-img create
  std::string name;
};

constexpr std::size_t kBlock = 4096;
constexpr std::uint64_t kDisk = std::uint64_t{256} << 20;

class FullDisk : public ::testing::TestWithParam<FullDiskCase> {
 protected:
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    if (::geteuid() != 0) GTEST_SKIP() << "mounting a small host file system takes root";
    if (const auto why = why_no_loop_devices(); GetParam().host.name != "tmpfs" && !why.empty()) GTEST_SKIP() << why;
    std::filesystem::create_directory(host_);
    std::filesystem::create_directory(mountpoint_);
    const auto made = shell("D=" + host_ + "; F=" + (dir_ / "host.img") + "; " + GetParam().host.make);
    ASSERT_EQ(made.exit_code, 0) << made.output;
    host_mounted_ = true;
    const auto image = shell("head -c 3M /dev/urandom > " + host_ + "/filler; qemu-img create -q -f qcow2 -o " +
                             GetParam().options + " " + image_ + " 256M");
    ASSERT_EQ(image.exit_code, 0) << image.output;
  }
  void TearDown() override {
    if (!host_mounted_) return;
    EXPECT_EQ(shell("umount " + host_).exit_code, 0);
  }

  // The block that is written to a place, by its place and a count.
  static void fill(std::byte* block, std::uint64_t at, std::uint64_t generation) {
    std::mt19937_64 random(at * 31 + generation);
    for (std::size_t n = 0; n < kBlock; n += 8) {
      const std::uint64_t word = random();
      std::memcpy(block + n, &word, 8);
    }
  }

  // Writes blocks all over the disk until `failures` of them have met ENOSPC, or `most` are written.
  void scatter(int fd, unsigned failures, unsigned most) {
    alignas(kBlock) std::byte block[kBlock];
    for (unsigned written = 0, failed = 0; failed < failures && written < most;) {
      const std::uint64_t at = random_() % (kDisk / kBlock) * kBlock;
      fill(block, at, ++generation_);
      const ssize_t done = ::pwrite(fd, block, kBlock, static_cast<off_t>(at));
      if (done == static_cast<ssize_t>(kBlock)) {
        acknowledged_[at] = generation_;
        ++written;
        continue;
      }
      ASSERT_EQ(done, -1);
      ASSERT_EQ(errno, ENOSPC) << std::strerror(errno);
      ++failed;
    }
  }

  void expect_acknowledged(const std::string& raw) {
    const int fd = ::open(raw.c_str(), O_RDONLY | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    std::byte expected[kBlock];
    std::byte found[kBlock];
    for (const auto& [at, generation] : acknowledged_) {
      fill(expected, at, generation);
      ASSERT_EQ(::pread(fd, found, kBlock, static_cast<off_t>(at)), static_cast<ssize_t>(kBlock));
      ASSERT_EQ(std::memcmp(expected, found, kBlock), 0) << "at " << at;
    }
    ::close(fd);
  }

  void expect_clean_and_complete() {
    const std::string raw = dir_ / "copy.raw";
    const auto judged = shell("qemu-img check -q " + image_ + " && qemu-img convert -O raw " + image_ + " " + raw);
    EXPECT_EQ(judged.exit_code, 0) << judged.output;
    expect_acknowledged(raw);
  }

  TempDir dir_;
  std::string host_ = dir_ / "host";
  std::string image_ = host_ + "/disk.qcow2";
  std::string mountpoint_ = dir_ / "mnt";
  bool host_mounted_ = false;
  std::mt19937_64 random_{20};
  std::uint64_t generation_ = 0;
  std::map<std::uint64_t, std::uint64_t> acknowledged_;  // place -> generation
};

TEST_P(FullDisk, LosesNothingAndGoesOnWhenThereIsSpaceAgain) {
  {
    MountedImage mounted(image_, mountpoint_);
    ASSERT_TRUE(mounted.mounted());
    const int fd = ::open(mounted.flat().c_str(), O_RDWR | O_DIRECT | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    scatter(fd, 40, 100'000);
    ASSERT_LT(acknowledged_.size(), 100'000u);
    EXPECT_GT(acknowledged_.size(), 10u);
    EXPECT_EQ(::fsync(fd), 0) << "flushing what was acknowledged: " << std::strerror(errno);
    expect_acknowledged(mounted.flat());
    ASSERT_EQ(::unlink((host_ + "/filler").c_str()), 0);
    const std::size_t before = acknowledged_.size();
    scatter(fd, 1, 30);
    EXPECT_GT(acknowledged_.size(), before);
    EXPECT_EQ(::fsync(fd), 0);
    ::close(fd);
    expect_acknowledged(mounted.flat());
    mounted.unmount();
  }
  expect_clean_and_complete();
}

TEST_P(FullDisk, CanStillBeUnmounted) {
  {
    MountedImage mounted(image_, mountpoint_);
    ASSERT_TRUE(mounted.mounted());
    const int fd = ::open(mounted.flat().c_str(), O_RDWR | O_DIRECT | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    scatter(fd, 40, 100'000);
    ::close(fd);
    mounted.unmount();
  }
  expect_clean_and_complete();
}

// What the guest has just discarded is space for what it writes next, without waiting for the flusher.
TEST_P(FullDisk, DiscardedSpaceCanBeWrittenAtOnce) {
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  const int fd = ::open(mounted.flat().c_str(), O_RDWR | O_DIRECT | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  scatter(fd, 40, 100'000);
  ASSERT_EQ(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kDisk), 0);
  acknowledged_.clear();
  scatter(fd, 1, 20);
  EXPECT_EQ(acknowledged_.size(), 20u);
  EXPECT_EQ(::fsync(fd), 0);
  ::close(fd);
  mounted.unmount();
  expect_clean_and_complete();
}

std::vector<FullDiskCase> cases() {
  const std::vector<Host> hosts{{"tmpfs", "mount -t tmpfs -o size=12M none $D"},
                                {"ext4", "truncate -s 16M $F; mkfs.ext4 -q -O ^has_journal $F; mount -o loop $F $D"},
                                {"ext4_journal", "truncate -s 20M $F; mkfs.ext4 -q $F; mount -o loop $F $D"}};
  std::vector<FullDiskCase> all;
  for (const Host& host : hosts) {
    for (const char* const size : {"512", "4k", "64k"}) {
      all.push_back({host, std::string("cluster_size=") + size, host.name + "_" + size});
    }
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Hosts, FullDisk, ::testing::ValuesIn(cases()),
                         [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace flatimg::test
