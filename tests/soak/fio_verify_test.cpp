// fio with its own checksums over a mount and over loop devices on it: four jobs, each with a range of its own, blocks
// from 4 KiB to 1 MiB, every write read back and compared soon after, an fsync behind every 32nd.
//
// FLATIMG_SEED chooses other requests, FLATIMG_ROUNDS how many MiB, in units of what is usual.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <memory>

#include "mount/mounted_image.h"
#include "support/figures.h"
#include "support/from_environment.h"

namespace flatimg::test {
namespace {

struct Load {
  std::string name;
  std::string options;  // of qemu-img create
  std::string loop;     // --direct-io of the loop device, when there is one
  std::string direct;   // O_DIRECT of fio
  std::string kind;     // fio's --rw
};
void PrintTo(const Load& load, std::ostream* out) { *out << load.name; }

class FioVerify : public ::testing::TestWithParam<Load> {};

TEST_P(FioVerify, FindsEveryBlockAsItWasWritten) {
  const Load& load = GetParam();
  if (const auto why = load.loop.empty() ? why_no_mounts() : why_no_loop_devices(); !why.empty()) GTEST_SKIP() << why;
  if (!has_program("fio")) GTEST_SKIP() << "fio is not installed";
  TempDir dir;
  const std::string image = dir / "disk.qcow2";
  ::mkdir((dir / "mnt").c_str(), 0755);
  ASSERT_EQ(shell("qemu-img create -q -f qcow2 " + load.options + " " + image + " 256M").exit_code, 0);
  const std::uint64_t rounds = from_environment("FLATIMG_ROUNDS", 1);
  MountedImage mounted(image, dir / "mnt", {"flush-interval=1"});
  ASSERT_TRUE(mounted.mounted());
  {
    std::unique_ptr<LoopDevice> loop;
    if (!load.loop.empty()) {
      loop = std::make_unique<LoopDevice>(mounted.flat(), std::vector<std::string>{"--direct-io=" + load.loop});
    }
    const auto fio = run({"fio",
                          "--name=soak",
                          "--filename=" + (loop ? loop->path() : mounted.flat()),
                          "--numjobs=4",
                          "--size=64m",
                          "--offset_increment=64m",
                          "--io_size=" + std::to_string(24 * rounds) + "m",
                          "--allow_file_create=0",
                          "--fallocate=none",
                          "--ioengine=libaio",
                          "--iodepth=8",
                          "--direct=" + load.direct,
                          "--rw=" + load.kind,
                          "--bsrange=4k-1m",
                          "--bs_unaligned=0",
                          "--randseed=" + std::to_string(from_environment("FLATIMG_SEED", 7)),
                          "--fsync=32",
                          "--verify=crc32c",
                          "--verify_backlog=64",
                          "--verify_fatal=1",
                          "--verify_state_save=0",
                          "--thread",
                          "--output-format=terse"});
    EXPECT_EQ(fio.exit_code, 0) << fio.output;
    EXPECT_EQ(fio.output.find("verify"), std::string::npos) << fio.output;
  }
  mounted.unmount();
  const auto check = run({"qemu-img", "check", image});
  EXPECT_EQ(check.exit_code, 0) << check.output;
  add_figure("MiB written and verified by fio", 4 * 24 * rounds);
}

INSTANTIATE_TEST_SUITE_P(Loads, FioVerify,
                         ::testing::Values(Load{"direct_random", "", "", "1", "randwrite"},
                                           Load{"direct_mixed", "-o cluster_size=4k", "", "1", "randrw"},
                                           Load{"buffered_random", "-o extended_l2=on", "", "0", "randrw"},
                                           Load{"buffered_sequential", "-o cluster_size=2M", "", "0", "write"},
                                           Load{"loop_buffered", "", "off", "0", "randrw"},
                                           Load{"loop_direct", "-o cluster_size=4k", "on", "1", "randwrite"},
                                           Load{"loop_direct_trimmed", "", "on", "1", "randtrimwrite"},
                                           Load{"loop_trimmed", "-o cluster_size=16k", "off", "1", "randtrimwrite"}),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace flatimg::test
