// Signals that meet a mount at work, and users who still have files open when it is detached: what was acknowledged is
// in the image, which is sound.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>

#include "mount/mounted_image.h"
#include "mount/numbered_blocks.h"
#include "support/figures.h"
#include "support/from_environment.h"
#include "support/soon.h"

namespace flatimg::test {
namespace {

using std::chrono::milliseconds;

// A disk of numbered blocks, with as much again behind them.
class SignalledMount : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kBehind = NumberedBlocks::kBlock * NumberedBlocks::kBlocks;

  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    ::mkdir((dir_ / "mnt").c_str(), 0755);
    dir_.write("flat", "");
    ASSERT_EQ(run({"qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", image_, "32M"}).exit_code, 0);
  }
  void expect_sound() const {
    const auto check = run({"qemu-img", "check", image_});
    EXPECT_EQ(check.exit_code, 0) << check.output;
  }
  void expect_blocks() {
    MountedImage mounted(image_, dir_ / "mnt");
    ASSERT_TRUE(mounted.mounted());
    blocks_.expect_old_or_new(mounted.flat());
    mounted.unmount();
  }
  /// A MiB of this letter behind the blocks, which nobody flushes.
  static void write_behind(int fd, char letter) {
    const std::string text(1 << 20, letter);
    EXPECT_EQ(::pwrite(fd, text.data(), text.size(), kBehind), static_cast<ssize_t>(text.size()));
  }
  void expect_behind(char letter) const {
    const auto read =
        shell("qemu-io -r -c 'read -P " + std::to_string(static_cast<int>(letter)) + " 16M 1M' " + image_);
    EXPECT_EQ(read.output.find("failed"), std::string::npos) << read.output;
    EXPECT_EQ(read.exit_code, 0) << read.output;
  }

  TempDir dir_;
  std::string image_ = dir_ / "disk.qcow2";
  NumberedBlocks blocks_{from_environment("FLATIMG_SEED", 5)};
};

// --- SIGTERM --------------------------------------------------------------------------------------------------------

class Terminated : public SignalledMount, public ::testing::WithParamInterface<std::string> {};

// In the foreground, where the exit code is seen. What is mounted on a file is written through; on a directory the
// kernel keeps writes back, and those that it took behind the signal may have come too late.
TEST_P(Terminated, UnderLoadEndsWithSuccessAndAllData) {
  const bool written_through = GetParam() == "flat";
  const std::string mountpoint = dir_ / GetParam();
  const std::string flat = written_through ? mountpoint : mountpoint + "/disk.qcow2";
  const std::uint64_t rounds = 2 * from_environment("FLATIMG_ROUNDS", 1);
  for (std::uint64_t round = 0; round < rounds && !HasFailure(); ++round) {
    Conversation foreground({FLATIMG_PROGRAM, "mount", "-f", image_, mountpoint});
    ASSERT_TRUE(soon([&] { return std::filesystem::exists(flat) && std::filesystem::file_size(flat) == 2 * kBehind; }));
    const int fd = ::open(flat.c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    const char letter = static_cast<char>('a' + round % 26);
    std::thread sender([&] {
      std::this_thread::sleep_for(milliseconds(100 + round * 50 % 400));
      write_behind(fd, letter);
      ::kill(foreground.process(), SIGTERM);
    });
    blocks_.write_until_it_fails(flat);
    sender.join();
    ::close(fd);
    const Finished ended = foreground.finish();
    EXPECT_EQ(ended.exit_code, 0) << ended.output;
    EXPECT_NE(run({"mountpoint", "-q", mountpoint}).exit_code, 0);
    if (written_through) blocks_.count_what_was_acknowledged();
    expect_sound();
    expect_behind(letter);
    expect_blocks();
  }
  add_figure("mounts ended by SIGTERM under load", rounds);
}

INSTANTIATE_TEST_SUITE_P(Mountpoints, Terminated, ::testing::Values("mnt", "flat"),
                         [](const auto& param) { return param.param == "mnt" ? "directory" : "file"; });

// --- SIGSTOP --------------------------------------------------------------------------------------------------------

using Suspended = SignalledMount;

TEST_F(Suspended, AWorkerThatWasStoppedGoesOn) {
  MountedImage mounted(image_, dir_ / "mnt", {"flush-interval=1"});
  ASSERT_TRUE(mounted.mounted());
  const int worker = mounted.daemon();
  const int fd = ::open(mounted.flat().c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  write_behind(fd, 'x');
  ASSERT_EQ(::kill(worker, SIGSTOP), 0);
  std::atomic<bool> synced = false;
  std::thread user([&] {
    write_behind(fd, 'y');
    EXPECT_EQ(::fsync(fd), 0);
    synced = true;
  });
  std::this_thread::sleep_for(milliseconds(1500));  // beyond the flusher's interval, and the kernel's for attributes
  EXPECT_FALSE(synced);
  ASSERT_EQ(::kill(worker, SIGCONT), 0);
  user.join();
  EXPECT_TRUE(synced);
  ::close(fd);
  mounted.unmount();
  expect_sound();
  expect_behind('y');
}

TEST_F(Suspended, AStoppedSupervisorHoldsUpNobodyButTheEnd) {
  MountedImage mounted(image_, dir_ / "mnt", {"flush-interval=1"});
  ASSERT_TRUE(mounted.mounted());
  const int supervisor = mounted.supervisor();
  ASSERT_EQ(::kill(supervisor, SIGSTOP), 0);
  const int fd = ::open(mounted.flat().c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  write_behind(fd, 'z');
  EXPECT_EQ(::fsync(fd), 0);
  EXPECT_EQ(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1 << 20), 0);
  EXPECT_EQ(::close(fd), 0);
  Conversation leaving({FLATIMG_PROGRAM, "umount", dir_ / "mnt"});
  std::this_thread::sleep_for(milliseconds(300));
  ASSERT_EQ(::kill(supervisor, SIGCONT), 0);
  const Finished left = leaving.finish();
  EXPECT_EQ(left.exit_code, 0) << left.output;
  EXPECT_TRUE(soon([&] { return mounted.supervisor() == 0 && mounted.daemon() == 0; }));
  if (!HasFailure()) mounted.clear_dead_mount();
  expect_sound();
  expect_behind('z');
}

// --- detached while in use ------------------------------------------------------------------------------------------

class DetachedLazily : public SignalledMount, public ::testing::WithParamInterface<const char*> {};

TEST_P(DetachedLazily, KeepsWhatOpenFilesWriteAndEndsWithThem) {
  MountedImage mounted(image_, dir_ / "mnt");
  ASSERT_TRUE(mounted.mounted());
  const int fd = ::open(mounted.flat().c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  write_behind(fd, 'b');
  // The last of them waits for the end.
  Conversation detaching(
      {"bash", "-c", "FLATIMG=" FLATIMG_PROGRAM "; " + std::string(GetParam()) + " " + (dir_ / "mnt")});
  EXPECT_TRUE(soon([&] { return run({"mountpoint", "-q", dir_ / "mnt"}).exit_code != 0; }));
  EXPECT_NE(mounted.daemon(), 0);
  char first = 0;
  EXPECT_EQ(::pread(fd, &first, 1, kBehind), 1);
  EXPECT_EQ(first, 'b');
  write_behind(fd, 'c');
  EXPECT_EQ(::close(fd), 0);
  const Finished detached = detaching.finish();
  EXPECT_EQ(detached.exit_code, 0) << detached.output;
  EXPECT_TRUE(soon([&] { return mounted.supervisor() == 0 && mounted.daemon() == 0; }));
  if (!HasFailure()) mounted.clear_dead_mount();
  expect_sound();
  expect_behind('c');
}

INSTANTIATE_TEST_SUITE_P(Programs, DetachedLazily,
                         ::testing::Values("umount -l", "fusermount3 -uz", "$FLATIMG umount -l"),
                         [](const auto& param) {
                           const std::string program = param.param;
                           return program == "umount -l" ? "umount" : program[0] == 'f' ? "fusermount" : "flatimg";
                         });

}  // namespace
}  // namespace flatimg::test
