// By strace: what is opened and read before and after the confinement, in all processes of a mount.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <map>
#include <regex>
#include <sstream>

#include "mount/mounted_image.h"

namespace flatimg::test {
namespace {

struct Call {
  int process = 0;  // or thread
  std::string name;
  std::string line;
};

/// A trace: "PID  name(...", one for each call, where it begins; and which thread belongs to which process.
struct Trace {
  std::vector<Call> calls;
  std::map<int, int> started_by;  // thread -> thread or process

  explicit Trace(const std::string& text) {
    const std::regex begun(R"(^(\d+)\s+([a-z_0-9]+)\()");
    const std::regex thread(R"(^(\d+)\s+.*parent_tid=\[(\d+)\])");
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      std::smatch found;
      if (std::regex_search(line, found, thread)) started_by[std::stoi(found[2])] = std::stoi(found[1]);
      if (std::regex_search(line, found, begun)) calls.push_back({std::stoi(found[1]), found[2], line});
    }
  }
  [[nodiscard]] int process_of(const Call& call) const {
    int process = call.process;
    for (auto by = started_by.find(process); by != started_by.end(); by = started_by.find(process))
      process = by->second;
    return process;
  }
};

/// How far each process has come with confining itself: both steps, or not.
class Progress {
 public:
  void note(const Call& call) {
    landlock_[call.process] |= call.name == "landlock_restrict_self";
    filter_[call.process] |= call.name == "seccomp" && call.line.find("{len=") != std::string::npos;
  }
  [[nodiscard]] bool is_confined(int process) const { return has(landlock_, process) && has(filter_, process); }

 private:
  static bool has(const std::map<int, bool>& steps, int process) {
    const auto found = steps.find(process);
    return found != steps.end() && found->second;
  }
  std::map<int, bool> landlock_;
  std::map<int, bool> filter_;
};

class OrderOfStart : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    if (!has_program("strace")) GTEST_SKIP() << "strace is not installed";
    if (run({"strace", "-o", "/dev/null", "true"}).exit_code != 0) GTEST_SKIP() << "strace cannot trace here";
    if (shell("$FLATIMG doctor | grep -cE '^(landlock|seccomp) *yes' | grep -q 2").exit_code != 0) {
      GTEST_SKIP() << "this machine cannot confine a process";
    }
    ::mkdir(mountpoint_.c_str(), 0755);
    ASSERT_EQ(shell("cd " + dir_.path().string() + "; qemu-img create -q -f raw base.raw 1M;" +
                    "qemu-img create -q -f qcow2 -b base.raw -F raw disk.qcow2")
                  .exit_code,
              0);
  }

  // The calls of a mount that is made, read, written and unmounted.
  Trace traced_mount(const std::vector<std::string>& options) {
    const std::string trace = dir_ / "trace";
    std::vector<std::string> command{"strace",
                                     "-f",
                                     "-y",
                                     "-s",
                                     "0",
                                     "-o",
                                     trace,
                                     "-e",
                                     "trace=open,openat,openat2,read,readv,pread64,preadv,mmap,landlock_restrict_self,"
                                     "seccomp,clone,clone3,fork,vfork",
                                     FLATIMG_PROGRAM,
                                     "mount",
                                     "-f"};
    for (const auto& option : options) command.insert(command.end(), {"-o", option});
    command.insert(command.end(), {image_, mountpoint_});
    Conversation mount(command);
    const auto used = shell("for i in $(seq 500); do test -e " + flat_ + " && break; sleep 0.02; done; cat " + flat_ +
                            " > /dev/null; echo hello | dd conv=notrunc,fsync status=none of=" + flat_ +
                            "; $FLATIMG umount " + mountpoint_);
    EXPECT_EQ(used.exit_code, 0) << used.output;
    EXPECT_EQ(mount.finish().exit_code, 0);
    return Trace(contents_of(trace));
  }
  [[nodiscard]] bool concerns_an_image(const Call& call) const {
    return call.line.find(image_) != std::string::npos || call.line.find(dir_ / "base.raw") != std::string::npos;
  }

  TempDir dir_;
  std::string image_ = dir_ / "disk.qcow2";
  std::string mountpoint_ = dir_ / "mnt";
  std::string flat_ = mountpoint_ + "/disk.qcow2";
};

TEST_F(OrderOfStart, NoByteOfAnImageIsReadByAProcessThatIsNotConfined) {
  Progress progress;
  unsigned reads = 0;
  const Trace trace = traced_mount({});
  for (const Call& call : trace.calls) {
    progress.note(call);
    const bool reading = call.name.find("read") != std::string::npos || call.name == "mmap";
    if (!reading || !concerns_an_image(call)) continue;
    ++reads;
    EXPECT_TRUE(progress.is_confined(trace.process_of(call))) << call.line;
  }
  EXPECT_GT(reads, 0u) << "the trace shows no read of the image: the test sees nothing";
}

TEST_F(OrderOfStart, ReadsItAllTheSameWithSandboxOff) {
  Progress progress;
  unsigned reads_by_unconfined = 0;
  const Trace trace = traced_mount({"sandbox=off"});
  for (const Call& call : trace.calls) {
    progress.note(call);
    EXPECT_NE(call.name, "landlock_restrict_self") << call.line;
    const bool reading = call.name.find("read") != std::string::npos && concerns_an_image(call);
    if (reading && !progress.is_confined(trace.process_of(call))) ++reads_by_unconfined;
  }
  EXPECT_GT(reads_by_unconfined, 0u) << "then the test above cannot fail";
}

TEST_F(OrderOfStart, ThereIsOneThreadUntilTheConfinement) {
  Progress progress;
  unsigned threads = 0;
  const Trace trace = traced_mount({});
  for (const Call& call : trace.calls) {
    progress.note(call);
    if (call.name.rfind("clone", 0) != 0 || call.line.find("CLONE_THREAD") == std::string::npos) continue;
    ++threads;
    EXPECT_TRUE(progress.is_confined(trace.process_of(call))) << call.line;
  }
  EXPECT_GT(threads, 0u);
}

TEST_F(OrderOfStart, AfterTheConfinementNothingIsOpenedButTheImageAndWhatItNames) {
  Progress progress;
  unsigned opened = 0;
  const std::regex success(R"(\) = \d+<([^>]*)>)");
  const Trace trace = traced_mount({});
  for (const Call& call : trace.calls) {
    progress.note(call);
    if (call.name.rfind("open", 0) != 0 || !progress.is_confined(trace.process_of(call))) continue;
    std::smatch result;
    if (!std::regex_search(call.line, result, success)) continue;  // refused
    const bool image = result[1] == image_ || result[1] == dir_ / "base.raw";
    if (image) ++opened;
    EXPECT_TRUE(image || call.line.find("O_PATH") != std::string::npos) << call.line;
  }
  EXPECT_GE(opened, 2u);
}

}  // namespace
}  // namespace flatimg::test
