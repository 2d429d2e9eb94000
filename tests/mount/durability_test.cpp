// Many writes in flight, and the death of the helper: what was acknowledged by fsync is there, nobody's bytes end up
// elsewhere, the image needs no repair.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <random>
#include <thread>

#include "mount/mounted_image.h"

namespace flatimg::test {
namespace {

// --- many writes in flight ------------------------------------------------------------------------------------------

struct Flight {
  std::string name;
  std::string block;
  bool direct = true;
  bool loop = false;
};
void PrintTo(const Flight& flight, std::ostream* out) { *out << flight.name; }

class WritesInFlight : public ::testing::TestWithParam<Flight> {};

TEST_P(WritesInFlight, NoBlockHoldsAnotherRequestsPayload) {
  const Flight& flight = GetParam();
  if (const auto why = flight.loop ? why_no_loop_devices() : why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
  if (!has_program("fio")) GTEST_SKIP() << "fio is not installed";
  TempDir dir;
  const std::string image = dir / "disk.qcow2";
  ::mkdir((dir / "mnt").c_str(), 0755);
  ASSERT_EQ(run({"qemu-img", "create", "-q", "-f", "qcow2", image, "256M"}).exit_code, 0);
  MountedImage mounted(image, dir / "mnt");
  ASSERT_TRUE(mounted.mounted());
  {
    std::unique_ptr<LoopDevice> loop;
    if (flight.loop) loop = std::make_unique<LoopDevice>(mounted.flat(), std::vector<std::string>{"--direct-io=on"});
    const auto fio =
        run({"fio", "--name=verify", "--filename=" + (loop ? loop->path() : mounted.flat()), "--size=256m",
             "--io_size=64m", "--allow_file_create=0", "--fallocate=none", "--ioengine=libaio",
             flight.direct ? "--direct=1" : "--direct=0", "--rw=randwrite", "--bs=" + flight.block, "--iodepth=32",
             "--verify=crc32c", "--verify_state_save=0", "--verify_fatal=0", "--do_verify=1"});
    EXPECT_EQ(fio.exit_code, 0) << fio.output;
  }
  mounted.unmount();
  const auto check = run({"qemu-img", "check", image});
  EXPECT_EQ(check.exit_code, 0) << check.output;
}

INSTANTIATE_TEST_SUITE_P(Flights, WritesInFlight,
                         ::testing::Values(Flight{"direct_4k", "4k"}, Flight{"direct_64k", "64k"},
                                           Flight{"buffered_4k", "4k", false}, Flight{"buffered_64k", "64k", false},
                                           Flight{"loop_4k", "4k", true, true}, Flight{"loop_64k", "64k", true, true}),
                         [](const auto& param) { return param.param.name; });

// --- death of the helper --------------------------------------------------------------------------------------------

constexpr std::size_t kBlock = 4096;
constexpr std::size_t kBlocks = 4096;  // 16 MiB

// Each block is filled with a number that grows; what may be found after the kill is between the last number that an
// fsync covered and the last one that was begun.
class KilledHelper : public ::testing::Test {
 protected:
  void write_until_it_dies(const std::string& flat) {
    const int fd = ::open(flat.c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    std::vector<std::uint64_t> block(kBlock / sizeof(std::uint64_t));
    for (std::uint64_t n = 1;; ++n) {
      const std::size_t at = random_() % kBlocks;
      std::fill(block.begin(), block.end(), ++number_);
      begun_[at] = number_;
      if (::pwrite(fd, block.data(), kBlock, static_cast<off_t>(at * kBlock)) != static_cast<ssize_t>(kBlock)) break;
      if (n % 16 == 0) {
        const auto covered = begun_;
        if (::fsync(fd) != 0) break;
        synced_ = covered;
      }
    }
    ::close(fd);
  }

  void expect_old_or_new(const std::string& flat) {
    const std::string content = contents_of(flat);
    ASSERT_EQ(content.size(), kBlock * kBlocks);
    for (std::size_t at = 0; at < kBlocks; ++at) {
      std::uint64_t found = 0;
      std::memcpy(&found, content.data() + at * kBlock, sizeof found);
      EXPECT_GE(found, synced_[at]) << "block " << at << " lost what was fsynced";
      EXPECT_LE(found, begun_[at]) << "block " << at;
      begun_[at] = synced_[at] = found;
    }
  }

  std::mt19937_64 random_{99};
  std::uint64_t number_ = 0;
  std::vector<std::uint64_t> begun_ = std::vector<std::uint64_t>(kBlocks);
  std::vector<std::uint64_t> synced_ = std::vector<std::uint64_t>(kBlocks);
};

TEST_F(KilledHelper, LeavesAnImageWithoutErrorsAndEveryFsyncedByte) {
  if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
  TempDir dir;
  const std::string image = dir / "disk.qcow2";
  ::mkdir((dir / "mnt").c_str(), 0755);
  ASSERT_EQ(run({"qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", image, "16M"}).exit_code, 0);
  for (int kill = 0; kill < 30 && !HasFailure(); ++kill) {
    {
      MountedImage mounted(image, dir / "mnt", {"flush-interval=1"});
      ASSERT_TRUE(mounted.mounted());
      expect_old_or_new(mounted.flat());
      const int pid = mounted.daemon();
      ASSERT_GT(pid, 0);
      std::thread killer([&, after = 20 + random_() % 400] {
        std::this_thread::sleep_for(std::chrono::milliseconds(after));
        ::kill(pid, SIGKILL);
      });
      write_until_it_dies(mounted.flat());
      killer.join();
      mounted.clear_dead_mount();
    }
    const auto check = run({"qemu-img", "check", image});
    EXPECT_TRUE(check.exit_code == 0 || check.exit_code == 3) << check.output;
  }
}

}  // namespace
}  // namespace flatimg::test
