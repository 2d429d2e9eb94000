// The process that serves a real mount is confined; and whoever of the two processes dies, the other one cleans up.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "mount/one_image.h"
#include "support/soon.h"

namespace flatimg::test {
namespace {

std::string status_of(int process, const std::string& name) {
  std::istringstream status(contents_of("/proc/" + std::to_string(process) + "/status"));
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(name + ":\t", 0) == 0) return line.substr(name.size() + 2);
  }
  return {};
}

/// What a supervisor has open and need not.
std::string surplus_descriptors(int process) {
  std::string surplus;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/fd")) {
    std::error_code closed;
    const std::string target = std::filesystem::read_symlink(entry, closed).string();
    if (closed) continue;
    const bool expected = target == "/dev/null" || target.starts_with("socket:") || target == "anon_inode:[signalfd]";
    if (!expected) surplus += target + " ";
  }
  return surplus;
}

class ConfinedMount : public OneImage {
 protected:
  [[nodiscard]] bool in_mount_table() const {
    return contents_of("/proc/self/mountinfo").find(" " + mountpoint_ + " ") != std::string::npos;
  }
  /// After the end of a mount: nothing is left of it, and the image is as it should be.
  void expect_gone(const MountedImage& mounted) {
    EXPECT_TRUE(soon([&] { return mounted.supervisor() == 0; })) << "a process did not end";
    EXPECT_FALSE(in_mount_table());
    const auto check = run({"qemu-img", "check", image_});
    EXPECT_TRUE(check.exit_code == 0 || check.exit_code == 3) << check.output;
  }
  [[nodiscard]] std::string first_bytes(std::size_t count) const {
    const std::string raw = dir_ / "raw";
    EXPECT_EQ(run({"qemu-img", "convert", "-O", "raw", image_, raw}).exit_code, 0);
    return contents_of(raw).substr(0, count);
  }
};

TEST_F(ConfinedMount, IsServedByAConfinedProcessUnderOneThatIsNot) {
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  const std::string status = flatimg({"status", "--output=json", mountpoint_}).output;
  const auto sandbox = nlohmann::json::parse(status).at("sandbox");
  ASSERT_TRUE(sandbox.is_object()) << status;
  if (sandbox.contains("missing")) GTEST_SKIP() << sandbox.at("missing").dump();
  EXPECT_GT(sandbox.at("landlock").get<int>(), 0);
  EXPECT_EQ(sandbox.at("capabilities").dump(), "[\"cap_dac_override\"]");
  EXPECT_EQ(nlohmann::json::parse(status).at("pid").get<int>(), mounted.daemon());
  EXPECT_EQ(status_of(mounted.daemon(), "Seccomp"), "2");
  EXPECT_EQ(status_of(mounted.daemon(), "NoNewPrivs"), "1");
  EXPECT_EQ(status_of(mounted.daemon(), "CapEff"), "0000000000000002");
  EXPECT_EQ(status_of(mounted.supervisor(), "Seccomp"), "0");
  EXPECT_EQ(status_of(mounted.supervisor(), "Threads"), "1");
  for (const auto& thread :
       std::filesystem::directory_iterator("/proc/" + std::to_string(mounted.daemon()) + "/task")) {
    EXPECT_NE(contents_of(thread.path() / "status").find("Seccomp:\t2"), std::string::npos) << thread.path();
  }
  mounted.unmount();
}

TEST_F(ConfinedMount, NobodyHoldsTheTerminalOrTheImageButTheWorker) {
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  std::string surplus;  // the line to the process that waited for the mount is being closed when that one ends
  EXPECT_TRUE(soon([&] { return (surplus = surplus_descriptors(mounted.supervisor())).empty(); })) << surplus;
  for (const std::string stream : {"0", "1", "2"}) {
    const auto target = std::filesystem::read_symlink("/proc/" + std::to_string(mounted.daemon()) + "/fd/" + stream);
    EXPECT_EQ(target, "/dev/null");
  }
  mounted.unmount();
}

TEST_F(ConfinedMount, IsNotConfinedWithSandboxOff) {
  MountedImage mounted(image_, mountpoint_, {"sandbox=off"});
  ASSERT_TRUE(mounted.mounted());
  EXPECT_EQ(status_of(mounted.daemon(), "Seccomp"), "0");
  EXPECT_EQ(status_of(mounted.daemon(), "NoNewPrivs"), "0");
  const auto status = nlohmann::json::parse(flatimg({"status", "--output=json", mountpoint_}).output);
  EXPECT_EQ(status.at("sandbox"), "off");
  EXPECT_NE(flatimg({"status", mountpoint_}).output.find("sandbox"), std::string::npos);
  mounted.unmount();
}

// --- the end
// ----------------------------------------------------------------------------------------------------------

TEST_F(ConfinedMount, TheDeathOfTheWorkerLeavesNoMount) {
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  ASSERT_EQ(::kill(mounted.daemon(), SIGKILL), 0);
  expect_gone(mounted);
  MountedImage again(image_, mountpoint_);
  EXPECT_TRUE(again.mounted());
  again.unmount();
}

TEST_F(ConfinedMount, TheDeathOfTheWorkerUnderOpenFilesLeavesNoMount) {
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  const int fd = ::open(mounted.flat().c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::kill(mounted.daemon(), SIGSEGV), 0);
  expect_gone(mounted);
  char byte = 0;
  EXPECT_EQ(::read(fd, &byte, 1), -1);
  ::close(fd);
}

TEST_F(ConfinedMount, TheForegroundSaysWhatTheWorkerDiedOf) {
  Conversation foreground({FLATIMG_PROGRAM, "mount", "-f", image_, mountpoint_});
  ASSERT_TRUE(soon([&] { return in_mount_table(); }));
  const auto children = run({"pgrep", "-P", std::to_string(foreground.process())});
  ASSERT_EQ(::kill(std::stoi(children.output), SIGKILL), 0);
  const auto end = foreground.finish();
  EXPECT_EQ(end.exit_code, 1);
  EXPECT_NE(end.output.find("signal 9"), std::string::npos) << end.output;
  EXPECT_FALSE(in_mount_table());
}

TEST_F(ConfinedMount, TheDeathOfTheSupervisorEndsTheWorkerWithEveryByteWritten) {
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  const int fd = ::open(mounted.flat().c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::write(fd, "unsynced", 8), 8);
  const int worker = mounted.daemon();
  ASSERT_EQ(::kill(mounted.supervisor(), SIGKILL), 0);
  EXPECT_TRUE(soon([&] { return !std::filesystem::exists("/proc/" + std::to_string(worker)); }));
  ::close(fd);
  EXPECT_EQ(run({"qemu-img", "check", image_}).exit_code, 0);
  EXPECT_EQ(first_bytes(8), "unsynced");
  const auto again = flatimg({"mount", image_, mountpoint_});  // clears the dead mount
  EXPECT_EQ(again.exit_code, 0) << again.output;
  EXPECT_EQ(flatimg({"umount", mountpoint_}).exit_code, 0);
}

TEST_F(ConfinedMount, EitherProcessTakesASignalToEnd) {
  for (const bool to_worker : {true, false}) {
    MountedImage mounted(image_, mountpoint_);
    ASSERT_TRUE(mounted.mounted());
    ASSERT_EQ(shell("printf written | dd conv=notrunc status=none of=" + mounted.flat()).exit_code, 0);
    ASSERT_EQ(::kill(to_worker ? mounted.daemon() : mounted.supervisor(), SIGTERM), 0);
    expect_gone(mounted);
    EXPECT_EQ(first_bytes(7), "written");
  }
}

TEST_F(ConfinedMount, ASignalToTheForegroundEndsWithSuccess) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    Conversation foreground({FLATIMG_PROGRAM, "mount", "-f", image_, mountpoint_});
    ASSERT_TRUE(
        soon([&] { return in_mount_table() && shell("test -e " + mountpoint_ + "/disk.qcow2").exit_code == 0; }));
    ASSERT_EQ(::kill(foreground.process(), signal), 0);
    const auto end = foreground.finish();
    EXPECT_EQ(end.exit_code, 0) << end.output;
    EXPECT_FALSE(in_mount_table());
  }
}

TEST_F(ConfinedMount, OtherWaysToUnmountEndBothProcesses) {
  for (const std::string way : {"umount ", "umount -l ", "fusermount3 -u "}) {
    MountedImage mounted(image_, mountpoint_);
    ASSERT_TRUE(mounted.mounted());
    ASSERT_EQ(shell(way + mountpoint_).exit_code, 0);
    expect_gone(mounted);
  }
}

TEST_F(ConfinedMount, AnAbortedConnectionLeavesNoMount) {
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  struct stat top {};
  ASSERT_EQ(::stat(mountpoint_.c_str(), &top), 0);
  const auto aborted =
      run({"unshare", "-m", "bash", "-c",
           "mountpoint -q /sys/fs/fuse/connections || mount -t fusectl none /sys/fs/fuse/connections; echo 1 > "
           "/sys/fs/fuse/connections/" +
               std::to_string(minor(top.st_dev)) + "/abort"});
  if (aborted.exit_code != 0) GTEST_SKIP() << "fusectl cannot be mounted: " << aborted.output;
  expect_gone(mounted);
}

TEST_F(ConfinedMount, ANewOverlayIsTakenBackWhenNothingBecameOfIt) {
  const std::string overlay = dir_ / "overlay.qcow2";
  const auto refused = flatimg({"mount", "-o", "overlay=" + overlay, dir_.write("cut.qcow2", "QFI\xfb"), mountpoint_});
  EXPECT_EQ(refused.exit_code, 1) << refused.output;
  EXPECT_FALSE(std::filesystem::exists(overlay));
  dir_.write("overlay.qcow2", "");
  EXPECT_EQ(flatimg({"mount", "-o", "overlay=" + overlay, dir_ / "absent", mountpoint_}).exit_code, 1);
  EXPECT_TRUE(std::filesystem::exists(overlay)) << "an empty file of the user's was removed";
}

TEST_F(ConfinedMount, OfAnImageBehindASymbolicLinkOpensTheImage) {
  TempDir elsewhere;
  std::filesystem::create_symlink(image_, elsewhere / "link.qcow2");
  MountedImage mounted(elsewhere / "link.qcow2", mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  EXPECT_EQ(shell("echo hello | dd conv=notrunc status=none of=" + mountpoint_ + "/link.qcow2").exit_code, 0);
  mounted.unmount();
  EXPECT_EQ(first_bytes(5), "hello");
}

}  // namespace
}  // namespace flatimg::test
