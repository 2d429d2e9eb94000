// Memory and descriptors of a mount that works for long: they stay as they are once it is warm.
//
// FLATIMG_ROUNDS chooses how long, in units of what is usual.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <random>

#include "mount/mounted_tree.h"
#include "mount/one_image.h"
#include "soak/process_look.h"
#include "support/figures.h"
#include "support/from_environment.h"

namespace flatimg::test {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kKeepsFreedMemory = true;
#else
constexpr bool kKeepsFreedMemory = false;
#endif

constexpr std::uint64_t kMiB = 1 << 20;

// One user of a disk: opens it, reads and writes here and there, flushes, closes.
class Visitor {
 public:
  void visit(const std::string& flat, std::uint64_t size, int requests) {
    const int fd = ::open(flat.c_str(), O_RDWR | O_CLOEXEC | (random_() % 2 == 0 ? O_DIRECT : 0));
    ASSERT_GE(fd, 0) << flat;
    for (int n = 0; n < requests; ++n) {
      const auto at = static_cast<off_t>(random_() % (size / kMost) * kMost);
      const std::size_t length = 4096u << random_() % 5;
      if (random_() % 2 == 0) {
        EXPECT_EQ(::pwrite(fd, memory_, length, at), static_cast<ssize_t>(length));
      } else {
        EXPECT_EQ(::pread(fd, memory_, length, at), static_cast<ssize_t>(length));
      }
    }
    EXPECT_EQ(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kMost), 0);
    EXPECT_EQ(::fsync(fd), 0);
    EXPECT_EQ(::close(fd), 0);
  }

 private:
  static constexpr std::size_t kMost = 65536;
  std::mt19937_64 random_{11};
  alignas(4096) std::byte memory_[kMost] = {};
};

struct Footprint {
  std::uint64_t worker = 0;      // bytes
  std::uint64_t supervisor = 0;  // bytes
  std::uint64_t descriptors = 0;
};

Footprint footprint_of(const MountedImage& mounted) {
  const int worker = mounted.daemon();
  const int supervisor = mounted.supervisor();
  return {own_memory_of(worker), own_memory_of(supervisor), descriptors_of(worker) + descriptors_of(supervisor)};
}

// The worker may have at most `most` bytes.
void expect_flat(const Footprint& before, const Footprint& after, std::uint64_t most) {
  EXPECT_EQ(after.descriptors, before.descriptors);
  if (kKeepsFreedMemory) return;
  EXPECT_GT(before.worker, 0u);
  EXPECT_LE(after.worker, before.worker + kMiB);
  EXPECT_LE(after.worker, most);
  EXPECT_LE(after.supervisor, before.supervisor + kMiB / 4);
}

class MemoryOfAMount : public OneImage {};

TEST_F(MemoryOfAMount, StaysFlat) {
  constexpr std::uint64_t kDisk = 128 * kMiB;
  ASSERT_EQ(run({"qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", image_, "128M"}).exit_code, 0);
  MountedImage mounted(image_, mountpoint_, {"cache-size=2M", "threads=2", "flush-interval=1"});
  ASSERT_TRUE(mounted.mounted());
  Visitor visitor;
  const std::uint64_t rounds = 40 * from_environment("FLATIMG_ROUNDS", 1);
  Footprint warm;
  for (std::uint64_t n = 0; n < 2 * rounds && !HasFailure(); ++n) {
    if (n == rounds) warm = footprint_of(mounted);
    visitor.visit(mounted.flat(), kDisk, 200);
    EXPECT_EQ(flatimg({"status", mountpoint_}).exit_code, 0);
  }
  const Footprint after = footprint_of(mounted);
  expect_flat(warm, after, 16 * kMiB);
  RecordProperty("bytes of the worker", std::to_string(after.worker));
  mounted.unmount();
  EXPECT_EQ(run({"qemu-img", "check", "-q", image_}).exit_code, 0);
  add_figure("visits to a mount whose memory stayed flat", 2 * rounds);
}

using MemoryOfATree = MountedTree;

TEST_F(MemoryOfATree, StaysFlatThroughAHundredImages) {
  make_image("0.qcow2");
  expect_success("cd " + source_ + "; for n in $(seq 99); do cp 0.qcow2 $n.qcow2; done");
  MountedImage mounted(source_, flat_, {"cache-size=4M", "threads=2"});
  ASSERT_TRUE(mounted.mounted());
  Visitor visitor;
  const std::uint64_t rounds = 2 * from_environment("FLATIMG_ROUNDS", 1);
  Footprint warm;
  for (std::uint64_t round = 0; round < 2 * rounds && !HasFailure(); ++round) {
    if (round == rounds) warm = footprint_of(mounted);
    for (int n = 0; n < 100; ++n) visitor.visit(flat_ + "/" + std::to_string(n) + ".qcow2", 16 * kMiB, 10);
    wait_until_closed();
  }
  const Footprint after = footprint_of(mounted);
  expect_flat(warm, after, 24 * kMiB);
  RecordProperty("bytes of the worker", std::to_string(after.worker));
  mounted.unmount();
  expect_success("cd " + source_ + "; for n in 0 42 99; do qemu-img check -q $n.qcow2; done");
  add_figure("images of one directory opened one after another", 2 * rounds * 100);
}

}  // namespace
}  // namespace flatimg::test
