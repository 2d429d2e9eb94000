// A worker for which memory ends: killed by the kernel, slowed by it, or refused what it asks for. The image stays
// sound, what was flushed is there, and where the worker lives it goes on.
//
// FLATIMG_KILLS chooses how often it is killed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "mount/mounted_image.h"
#include "mount/numbered_blocks.h"
#include "mount/scripts.h"
#include "soak/memory_group.h"
#include "soak/process_look.h"
#include "support/figures.h"
#include "support/from_environment.h"

namespace flatimg::test {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

// 16 MiB for numbered blocks, and 112 MiB behind them that compress: read, they fill the cache of decoded blocks.
class ScarceMemory : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    ::mkdir((dir_ / "mnt").c_str(), 0755);
    expect_success("cd " + dir_.path().string() +
                   "; set +o pipefail; yes | head -c 112M > end; { head -c 16M /dev/zero; cat end; } > raw; "
                   "qemu-img convert -f raw -O qcow2 -c raw disk.qcow2; rm raw end");
  }
  void TearDown() override { detach(); }
  void detach() const { (void)shell("umount -l " + (dir_ / "mnt") + " || true"); }

  /// Mounts with both processes in the group.
  void mount_in(const MemoryGroup& group, const std::string& options) {
    const auto mounted =
        shell(group.enter() + "exec $FLATIMG mount -o " + options + " " + image_ + " " + (dir_ / "mnt"));
    ASSERT_EQ(mounted.exit_code, 0) << mounted.output;
  }
  /// Reads what compresses until that fails, or all of it was read.
  void read_all_behind() const {
    const int fd = ::open(flat_.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
    alignas(4096) static char bytes[65536];
    for (off_t at = 16 << 20; fd >= 0 && ::pread(fd, bytes, sizeof bytes, at) > 0;) at += 65536;
    if (fd >= 0) ::close(fd);
  }
  void expect_blocks() {
    MountedImage mounted(image_, dir_ / "mnt");
    ASSERT_TRUE(mounted.mounted());
    blocks_.expect_old_or_new(mounted.flat());
    mounted.unmount();
  }

  TempDir dir_;
  std::string image_ = dir_ / "disk.qcow2";
  std::string flat_ = dir_ / "mnt/disk.qcow2";
  NumberedBlocks blocks_{from_environment("FLATIMG_SEED", 3)};
};

// The kill -9 of a mount, by the kernel and at a moment of its choosing: while a reader makes the worker grow.
TEST_F(ScarceMemory, AKilledWorkerLeavesEveryFsyncedByteInASoundImage) {
  const std::uint64_t kills = (from_environment("FLATIMG_KILLS", 30) + 9) / 10;
  for (std::uint64_t kill = 0; kill < kills && !HasFailure(); ++kill) {
    const MemoryGroup group;
    if (const auto why = group.why_not(); !why.empty()) GTEST_SKIP() << why;
    ASSERT_TRUE(group.limit(48 * kMiB));
    mount_in(group, "cache-size=512M,flush-interval=1");
    if (HasFatalFailure()) return;
    std::thread reader([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      read_all_behind();
      (void)shell("umount -f " + (dir_ / "mnt") + " || true");  // a worker that has survived must not hold up the test
    });
    blocks_.write_until_it_fails(flat_);
    reader.join();
    EXPECT_GE(group.kills(), 1u);
    detach();
    const auto check = run({"qemu-img", "check", image_});
    EXPECT_TRUE(check.exit_code == 0 || check.exit_code == 3) << check.output;
    expect_blocks();
  }
  add_figure("kills of a worker that had grown beyond its group", kills);
}

// Caches that fit, in a group that is smaller than what is read and written: slower, and nothing else.
TEST_F(ScarceMemory, AGroupThatIsSmallerThanTheDiskOnlySlows) {
  const MemoryGroup group;
  if (const auto why = group.why_not(); !why.empty()) GTEST_SKIP() << why;
  ASSERT_TRUE(group.limit(32 * kMiB));
  mount_in(group, "cache-size=4M,threads=2");
  if (HasFatalFailure()) return;
  read_all_behind();
  expect_success("cd " + dir_.path().string() + "; (set +o pipefail; yes 3 | head -c 96M > new); dd if=new of=" +
                 flat_ + " bs=1M seek=16 conv=notrunc,fsync status=none; cmp -n 100663296 -i 0:16777216 new " + flat_ +
                 "; $FLATIMG umount mnt; qemu-img check -q disk.qcow2; qemu-img convert -O raw disk.qcow2 after; "
                 "cmp -n 100663296 -i 0:16777216 new after");
  EXPECT_EQ(group.kills(), 0u);
  EXPECT_LE(group.peak().value_or(0), 32 * kMiB);
}

// The worker may have no more than it has: what takes more fails with an error, and works when memory is there again.
TEST_F(ScarceMemory, AWorkerThatGetsNoMoreRefusesAndLosesNothing) {
  MountedImage mounted(image_, dir_ / "mnt", {"cache-size=512M", "threads=2", "flush-interval=1"});
  ASSERT_TRUE(mounted.mounted());
  const int worker = mounted.daemon();
  const int fd = ::open(mounted.flat().c_str(), O_RDWR | O_CLOEXEC | O_DIRECT);
  ASSERT_GE(fd, 0);
  rlimit before{};
  const rlimit none{1, RLIM_INFINITY};
  ASSERT_EQ(::prlimit(worker, RLIMIT_DATA, nullptr, &before), 0);
  std::uint64_t written = 0;
  alignas(4096) static char bytes[65536];
  for (std::uint64_t n = 0; n < 6; ++n) {
    const rlimit now{n % 2 == 0 ? none.rlim_cur : before.rlim_cur, before.rlim_max};
    ASSERT_EQ(::prlimit(worker, RLIMIT_DATA, &now, nullptr), 0);
    read_all_behind();
    for (off_t at = 16 << 20; at < 48 << 20; at += 65536) {
      std::fill_n(bytes, sizeof bytes, static_cast<char>('a' + n));
      if (::pwrite(fd, bytes, sizeof bytes, at) == sizeof bytes) {
        ++written;
      } else {
        EXPECT_EQ(errno, ENOMEM);
      }
    }
    if (n == 0) {
      EXPECT_LT(own_memory_of(worker), 20 * kMiB) << "the limit does nothing";
    }
    EXPECT_TRUE(::fsync(fd) == 0 || n % 2 == 0) << std::strerror(errno);
  }
  ::close(fd);
  EXPECT_GT(own_memory_of(worker), 40 * kMiB) << "it has never wanted more";
  mounted.unmount();
  expect_success("qemu-img check -q " + image_ + "; qemu-io -r -c 'read -P 102 16M 32M' " + image_ + " | grep -q ops");
  EXPECT_GT(written, 1024u);
}

}  // namespace
}  // namespace flatimg::test
