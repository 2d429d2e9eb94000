// The process that serves a directory of images is confined, and everything that people do with files works there.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "mount/mounted_tree.h"

namespace flatimg::test {
namespace {

/// All kinds of requests on a tree: what is made, changed, moved, listed and removed, by root and by somebody else.
/// disk.qcow2, base.raw and overlay.qcow2 (with base.raw behind it) are there; $PWD is the mount.
constexpr const char* kEverything =
    "mkdir dir; echo text > dir/file; cat dir/file > /dev/null; ln dir/file dir/hard; ln -s file dir/soft;"
    "readlink dir/soft > /dev/null; mkfifo dir/fifo; chmod 640 dir/file; chown 1234:1234 dir/file; chown -h 1 dir/soft;"
    "touch -d 2001-01-01 dir/file; touch -h -d 2001-01-01 dir/soft; truncate -s 3 dir/file; truncate -s 9 dir/file;"
    "fallocate -l 4096 dir/file; sync dir/file; sync dir; cp -a dir copy; mv copy moved; mv dir/hard moved/hard2;"
    "echo x > over; mv -f over moved/file; mv disk.qcow2 moved/; mv moved/disk.qcow2 disk.qcow2; ls -lR . > /dev/null; "
    "ls -A .flatimg > /dev/null;"
    "df . > /dev/null; stat -f . > /dev/null; dd if=/dev/zero of=disk.qcow2 bs=64k count=4 conv=notrunc,fsync "
    "status=none;"
    "cat disk.qcow2 overlay.qcow2 > /dev/null; echo hello | dd of=overlay.qcow2 conv=notrunc,fsync status=none;"
    "fallocate -p -o 0 -l 64k disk.qcow2; fallocate -l 64k disk.qcow2; truncate -s 16M disk.qcow2; truncate -s 0 "
    "moved/file;"
    "cat .flatimg/disk.qcow2/*.json > /dev/null; ls .flatimg/disk.qcow2/snapshots > /dev/null;"
    "cat .flatimg/disk.qcow2/snapshots/* > /dev/null; chmod 644 disk.qcow2; rm moved/hard2; rm -r dir moved;";

class ConfinedTree : public MountedTree {
 protected:
  void SetUp() override {
    MountedTree::SetUp();
    if (IsSkipped()) return;
    if (shell("$FLATIMG doctor | grep -cE '^(landlock|seccomp) *yes' | grep -q 2").exit_code != 0) {
      GTEST_SKIP() << "this machine cannot confine a process";
    }
    make_image("disk.qcow2");
    expect_success("cd " + source_ +
                   "; qemu-img snapshot -c before disk.qcow2; qemu-img create -q -f raw base.raw 1M;" +
                   "qemu-img create -q -f qcow2 -b base.raw -F raw overlay.qcow2; chmod 755 . .. ../..");
  }
  static std::string word_of(int process, const std::string& name) {
    std::istringstream status(contents_of("/proc/" + std::to_string(process) + "/status"));
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with(name + ":\t")) return line.substr(name.size() + 2);
    }
    return {};
  }
  [[nodiscard]] nlohmann::json status() const {
    return nlohmann::json::parse(flatimg({"status", "--output=json", flat_}).output);
  }
};

TEST_F(ConfinedTree, IsServedByAConfinedProcess) {
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  const auto sandbox = status().at("sandbox");
  ASSERT_TRUE(sandbox.is_object()) << sandbox.dump();
  EXPECT_FALSE(sandbox.contains("missing")) << sandbox.dump();
  EXPECT_GT(sandbox.at("landlock").get<int>(), 1);
  EXPECT_EQ(sandbox.at("seccomp"), true);
  for (const auto& thread :
       std::filesystem::directory_iterator("/proc/" + std::to_string(mounted.daemon()) + "/task")) {
    const int number = std::stoi(thread.path().filename().string());
    EXPECT_EQ(word_of(number, "Seccomp"), "2");
    EXPECT_EQ(word_of(number, "NoNewPrivs"), "1");
    EXPECT_EQ(word_of(number, "CapPrm"), "00000000000000db");
  }
  EXPECT_EQ(word_of(mounted.supervisor(), "Seccomp"), "0");
  mounted.unmount();
}

TEST_F(ConfinedTree, IsNotConfinedWithSandboxOff) {
  MountedImage mounted(source_, flat_, {"sandbox=off"});
  ASSERT_TRUE(mounted.mounted());
  EXPECT_EQ(status().at("sandbox"), "off");
  EXPECT_EQ(word_of(mounted.daemon(), "Seccomp"), "0");
  mounted.unmount();
}

// --- by strace
// --------------------------------------------------------------------------------------------------------

class TracedTree : public ConfinedTree {
 protected:
  void SetUp() override {
    ConfinedTree::SetUp();
    if (IsSkipped()) return;
    if (run({"strace", "-o", "/dev/null", "true"}).exit_code != 0) GTEST_SKIP() << "strace cannot trace here";
  }
  /// The lines of a trace of the mount while a script runs in it. Not over its own source: strace looks at the files
  /// that it names, and would wait for the process that it has stopped.
  std::vector<std::string> traced(const std::string& script, std::vector<std::string> options = {}) {
    const std::string trace = dir_ / "trace";
    std::vector<std::string> command{"strace", "-f", "-y", "-s", "0", "-o", trace, FLATIMG_PROGRAM, "mount", "-f"};
    for (const auto& option : options) command.insert(command.end(), {"-o", option});
    command.insert(command.end(), {source_, flat_});
    Conversation mount(command);
    expect_success("for i in $(seq 500); do mountpoint -q " + flat_ + " && break; sleep 0.02; done; cd " + flat_ +
                   "; " + script + " cd /; $FLATIMG umount " + flat_);
    EXPECT_EQ(mount.finish().exit_code, 0);
    std::istringstream text(contents_of(trace));
    std::vector<std::string> lines;
    for (std::string line; std::getline(text, line);) lines.push_back(std::move(line));
    return lines;
  }
  static std::string process_in(const std::string& line) { return line.substr(0, line.find(' ')); }
};

bool is_read_of_image(const std::string& line) {
  static const std::regex reading(R"(^\d+ +(read|pread64|preadv|readv|mmap)\([^,]*disk\.qcow2)");
  return std::regex_search(line, reading);
}

/// A call that the confinement did not let through. The C library takes clone where there is no clone3.
bool is_denied(const std::string& line) {
  static const std::regex denied(R"(= -1 (ENOSYS|EACCES|EPERM)|SIGSYS)");
  return std::regex_search(line, denied) && line.find("clone3") == std::string::npos;
}

/// From the first request on; before, libraries look for files of the system that they can do without.
std::vector<std::string> while_serving(const std::vector<std::string>& trace) {
  const auto first = std::ranges::find_if(trace, [](const std::string& line) {
    return line.find("read(") != std::string::npos && line.find("</dev/fuse>") != std::string::npos;
  });
  return {first, trace.end()};
}

TEST_F(TracedTree, WhateverIsDoneWithFilesNoCallIsDenied) {
  const auto lines = while_serving(traced(kEverything));
  EXPECT_GT(lines.size(), 1000u);
  for (const std::string& line : lines) EXPECT_FALSE(is_denied(line)) << line;
}

TEST_F(TracedTree, OverlaysAreMadeWithoutADeniedCall) {
  const auto lines = while_serving(
      traced("echo hello | dd of=disk.qcow2 conv=notrunc,fsync status=none;", {"overlay=" + (dir_ / "overlays")}));
  EXPECT_GT(lines.size(), 100u);
  for (const std::string& line : lines) EXPECT_FALSE(is_denied(line)) << line;
  expect_success("qemu-img check -q " + (dir_ / "overlays/disk.qcow2"));
}

TEST_F(TracedTree, NoByteOfAnImageIsReadBeforeTheConfinement) {
  unsigned reads = 0;
  bool confined = false;
  for (const std::string& line : traced("cat disk.qcow2 > /dev/null;")) {
    confined |= line.find("seccomp(SECCOMP_SET_MODE_FILTER") != std::string::npos;
    if (!is_read_of_image(line)) continue;
    ++reads;
    EXPECT_TRUE(confined) << line;
  }
  EXPECT_GT(reads, 0u) << "the trace shows no read of the image: the test sees nothing";
}

// --- what takes the supervisor
// ----------------------------------------------------------------------------------------

TEST_F(ConfinedTree, TellsWhoHoldsAnImageThatIsBusy) {
  Conversation foreground({FLATIMG_PROGRAM, "mount", "-f", source_, flat_});
  expect_success("for i in $(seq 500); do mountpoint -q " + flat_ + " && break; sleep 0.02; done");
  {
    Conversation holder({"qemu-io", "-f", "qcow2", source_ + "/disk.qcow2"});
    holder.say("read 0 512");
    holder.read_until("ops");
    expect_failure("head -c 1 " + flat_ + "/disk.qcow2", "busy");
    holder.finish();
  }
  expect_success("$FLATIMG umount " + flat_);
  const auto end = foreground.finish();
  EXPECT_NE(end.output.find("qemu-io"), std::string::npos) << end.output;
}

TEST_F(ConfinedTree, AnOverlayDirectoryOfWhichNothingBecameIsTakenBack) {
  const std::string overlays = dir_ / "overlays";
  {
    MountedImage mounted(source_, flat_, {"overlay=" + overlays});
    ASSERT_TRUE(mounted.mounted());
    EXPECT_TRUE(std::filesystem::is_directory(overlays));
    mounted.unmount();
  }
  expect_success("for i in $(seq 200); do test -e " + overlays + " || exit 0; sleep 0.02; done; exit 1");
  std::filesystem::create_directory(overlays);
  MountedImage mounted(source_, flat_, {"overlay=" + overlays});
  mounted.unmount();
  EXPECT_TRUE(std::filesystem::is_directory(overlays)) << "a directory of the user's was removed";
}

}  // namespace
}  // namespace flatimg::test
