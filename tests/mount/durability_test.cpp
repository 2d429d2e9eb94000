// Many writes in flight, and the death of the helper: what was acknowledged by fsync is there, nobody's bytes end up
// elsewhere, the image needs no repair.
//
// FLATIMG_SEED chooses other writes, FLATIMG_KILLS how often the helper dies.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <chrono>
#include <thread>

#include "mount/mounted_image.h"
#include "mount/numbered_blocks.h"
#include "support/figures.h"
#include "support/from_environment.h"

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

TEST(KilledHelper, LeavesAnImageWithoutErrorsAndEveryFsyncedByte) {
  if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
  TempDir dir;
  const std::string image = dir / "disk.qcow2";
  ::mkdir((dir / "mnt").c_str(), 0755);
  ASSERT_EQ(run({"qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", image, "16M"}).exit_code, 0);
  NumberedBlocks blocks(from_environment("FLATIMG_SEED", 99));
  const std::uint64_t kills = from_environment("FLATIMG_KILLS", 30);
  for (std::uint64_t kill = 0; kill < kills && !::testing::Test::HasFailure(); ++kill) {
    {
      MountedImage mounted(image, dir / "mnt", {"flush-interval=1"});
      ASSERT_TRUE(mounted.mounted());
      blocks.expect_old_or_new(mounted.flat());
      const int pid = mounted.daemon();
      ASSERT_GT(pid, 0);
      std::thread killer([&, after = 20 + blocks.random()() % 400] {
        std::this_thread::sleep_for(std::chrono::milliseconds(after));
        ::kill(pid, SIGKILL);
      });
      blocks.write_until_it_fails(mounted.flat());
      killer.join();
      mounted.clear_dead_mount();
    }
    const auto check = run({"qemu-img", "check", image});
    EXPECT_TRUE(check.exit_code == 0 || check.exit_code == 3) << check.output;
  }
  add_figure("kills of a mount's worker", kills);
}

}  // namespace
}  // namespace flatimg::test
