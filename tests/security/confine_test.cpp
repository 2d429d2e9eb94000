// What is left to a confined process, tried from inside: each attempt runs in a child of its own.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "security/confined_child.h"
#include "support/temp_dir.h"

namespace flatimg::test {
namespace {

using flat::Reachable;
using flat::Rights;

/// errno of opening, 0 when it worked.
int opening(const std::string& path, int flags) {
  return ::open(path.c_str(), flags | O_CLOEXEC, 0600) >= 0 ? 0 : errno;
}

class Confined : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = why_no_confinement(); !why.empty()) GTEST_SKIP() << why;
  }
  TempDir inside_;
  TempDir outside_;
  std::string file_ = inside_.write("file", "in reach");
  std::string secret_ = outside_.write("secret", "out of reach");
};

// --- files ----------------------------------------------------------------------------------------------------------

TEST_F(Confined, OpensWhatIsInReachAndNothingElse) {
  const std::vector<Reachable> reach{{inside_.path(), Rights::ReadWrite}};
  EXPECT_EQ(confined(reach, [&] { return opening(file_, O_RDWR); }), 0);
  EXPECT_EQ(confined(reach, [&] { return opening(secret_, O_RDONLY); }), EACCES);
  EXPECT_EQ(confined(reach, [&] { return opening("/etc/passwd", O_RDONLY); }), EACCES);
  EXPECT_EQ(confined(reach, [&] { return opening("/proc/self/mem", O_RDWR); }), EACCES);
  EXPECT_EQ(confined(reach, [&] { return opening("/dev/null", O_RDWR); }), EACCES);
}

TEST_F(Confined, OpensOneFileWithoutItsNeighbours) {
  const std::vector<Reachable> reach{{file_, Rights::ReadWrite}};
  const std::string neighbour = inside_.write("neighbour", "");
  EXPECT_EQ(confined(reach, [&] { return opening(file_, O_RDWR | O_TRUNC); }), 0);
  EXPECT_EQ(confined(reach, [&] { return opening(neighbour, O_RDONLY); }), EACCES);
}

TEST_F(Confined, WritesNothingThatIsToBeRead) {
  const std::vector<Reachable> reach{{inside_.path(), Rights::Read}};
  EXPECT_EQ(confined(reach, [&] { return opening(file_, O_RDONLY); }), 0);
  EXPECT_EQ(confined(reach, [&] { return opening(file_, O_WRONLY); }), EACCES);
  EXPECT_EQ(confined(reach, [&] { return opening(file_, O_RDONLY | O_TRUNC); }), EACCES);
  EXPECT_EQ(contents_of(file_), "in reach");
}

TEST_F(Confined, MakesAndListsNothingInTheDirectoryOfAnImage) {
  const std::vector<Reachable> reach{{inside_.path(), Rights::ReadWrite}};
  EXPECT_EQ(confined(reach, [&] { return opening(inside_ / "new", O_RDWR | O_CREAT | O_EXCL); }), EACCES);
  EXPECT_EQ(confined(reach, [&] { return opening(inside_.path(), O_RDONLY | O_DIRECTORY); }), EACCES);
  EXPECT_EQ(confined(reach, [&] { return ::unlink(file_.c_str()) == 0 ? 0 : errno; }), ENOSYS);
  EXPECT_EQ(confined(reach, [&] { return ::rename(file_.c_str(), (inside_ / "b").c_str()) == 0 ? 0 : errno; }), ENOSYS);
  EXPECT_TRUE(std::filesystem::exists(file_));
}

TEST_F(Confined, DoesNotGetOutByASymbolicLinkOrAHardLink) {
  const std::vector<Reachable> reach{{inside_.path(), Rights::ReadWrite}};
  std::filesystem::create_symlink(secret_, inside_ / "link");
  EXPECT_EQ(confined(reach, [&] { return opening(inside_ / "link", O_RDONLY); }), EACCES);
  EXPECT_EQ(confined(reach, [&] { return ::link(secret_.c_str(), (inside_ / "h").c_str()) == 0 ? 0 : errno; }), ENOSYS);
}

TEST_F(Confined, KeepsWhatWasOpenBefore) {
  const int before = ::open(secret_.c_str(), O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(confined({},
                     [&] {
                       char byte = 0;
                       return ::read(before, &byte, 1) == 1 && byte == 'o' ? 0 : 1;
                     }),
            0);
  ::close(before);
}

TEST_F(Confined, ThreadsAreConfinedAsWell) {
  EXPECT_EQ(confined({{inside_.path(), Rights::Read}},
                     [&] {
                       int allowed = -1;
                       int refused = -1;
                       std::thread([&] { allowed = opening(file_, O_RDONLY); }).join();
                       std::thread([&] { refused = opening(secret_, O_RDONLY); }).join();
                       return allowed == 0 && refused == EACCES ? 0 : 1;
                     }),
            0);
}

// --- system calls ---------------------------------------------------------------------------------------------------

struct Attempt {
  const char* name;
  std::function<void()> call;
};
void PrintTo(const Attempt& attempt, std::ostream* out) { *out << attempt.name; }

class DeadlyAttempt : public ::testing::TestWithParam<Attempt> {};

TEST_P(DeadlyAttempt, EndsTheProcess) {
  if (const auto why = why_no_confinement(); !why.empty()) GTEST_SKIP() << why;
  const auto attempt = [] {
    GetParam().call();
    return 0;
  };
  EXPECT_EQ(confined({{"/", Rights::ReadWrite}}, attempt), kKilledBySystemCall);
}

const Attempt kDeadlyAttempts[] = {
    {"execve", [] { ::execl("/bin/true", "true", nullptr); }},
    {"fork", [] { (void)::syscall(SYS_fork); }},
    {"vfork", [] { (void)::syscall(SYS_vfork); }},
    {"ptrace", [] { ::ptrace(PTRACE_ATTACH, ::getppid(), nullptr, nullptr); }},
    {"kill", [] { ::kill(::getppid(), 0); }},
    {"socket", [] { (void)::socket(AF_INET, SOCK_STREAM, 0); }},
    {"unix_socket", [] { (void)::socket(AF_UNIX, SOCK_STREAM, 0); }},
    {"connect", [] { (void)::connect(0, nullptr, 0); }},
    {"mount", [] { (void)::mount("none", "/mnt", "tmpfs", 0, nullptr); }},
    {"umount2", [] { (void)::umount2("/proc", MNT_DETACH); }},
    {"unshare", [] { (void)::unshare(CLONE_NEWUSER); }},
    {"setns", [] { (void)::setns(0, 0); }},
    {"chroot", [] { (void)::chroot("/"); }},
    {"bpf", [] { (void)::syscall(SYS_bpf, 0, nullptr, 0); }},
    {"io_uring", [] { (void)::syscall(SYS_io_uring_setup, 1, nullptr); }},
    {"open_by_handle_at", [] { (void)::syscall(SYS_open_by_handle_at, 0, nullptr, 0); }},
    {"process_vm_readv", [] { (void)::process_vm_readv(::getppid(), nullptr, 0, nullptr, 0, 0); }},
    {"setuid", [] { (void)::syscall(SYS_setuid, 0); }},
};
INSTANTIATE_TEST_SUITE_P(Attempts, DeadlyAttempt, ::testing::ValuesIn(kDeadlyAttempts),
                         [](const auto& param) { return param.param.name; });

int errno_of(long outcome) { return outcome < 0 ? errno : 0; }

TEST_F(Confined, CallsThatNobodyKnowsAreNotThere) {
  EXPECT_EQ(confined({}, [] { return errno_of(::syscall(10000)); }), ENOSYS);
  EXPECT_EQ(confined({}, [] { return errno_of(::mkdir("/tmp/confined", 0700)); }), ENOSYS);
  EXPECT_EQ(confined({}, [] { return errno_of(::prctl(PR_GET_DUMPABLE)); }), ENOSYS);
}

TEST_F(Confined, MemoryNeverBecomesExecutable) {
  EXPECT_EQ(confined({},
                     [] {
                       void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                       if (page == MAP_FAILED) return 1;
                       return errno_of(::mprotect(page, 4096, PROT_READ | PROT_EXEC));
                     }),
            ENOSYS);
  EXPECT_EQ(confined({},
                     [] {
                       void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                       return page == MAP_FAILED ? errno : 0;
                     }),
            ENOSYS);
}

TEST_F(Confined, MakesThreadsButNoProcesses) {
  EXPECT_EQ(confined({}, [] { return errno_of(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, 0)); }), ENOSYS);
  EXPECT_EQ(confined({}, [] { return errno_of(::fork()); }), ENOSYS);
}

TEST_F(Confined, SignalsItselfOnly) {
  EXPECT_EQ(confined({}, [] { return errno_of(::syscall(SYS_tgkill, ::getpid(), ::gettid(), 0)); }), 0);
  EXPECT_EQ(confined({}, [] { return errno_of(::syscall(SYS_tgkill, ::getppid(), ::getppid(), 0)); }), ENOSYS);
}

TEST_F(Confined, CommandsOfDevicesAreNotThere) {
  EXPECT_EQ(confined({}, [] { return errno_of(::ioctl(STDERR_FILENO, TIOCSTI, "x")); }), ENOSYS);
  EXPECT_EQ(confined({}, [] { return errno_of(::ioctl(STDERR_FILENO, FIONREAD, nullptr)); }), ENOSYS);
}

// --- what /proc says ------------------------------------------------------------------------------------------------

/// The words behind a name in /proc/PID/status of a child that has confined itself.
std::string status_of_confined_child(const std::string& name) {
  std::array<int, 2> ready{};
  std::array<int, 2> end{};
  if (::pipe(ready.data()) != 0 || ::pipe(end.data()) != 0) return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    (void)flat::confine({});
    char byte = 0;
    (void)!::write(ready[1], &byte, 1);
    (void)!::read(end[0], &byte, 1);
    ::_exit(0);
  }
  char byte = 0;
  (void)!::read(ready[0], &byte, 1);
  std::istringstream status(contents_of("/proc/" + std::to_string(child) + "/status"));
  std::string found;
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(name + ":\t", 0) == 0) found = line.substr(name.size() + 2);
  }
  (void)!::write(end[1], &byte, 1);
  ::waitpid(child, nullptr, 0);
  for (const int one : {ready[0], ready[1], end[0], end[1]}) ::close(one);
  return found;
}

TEST_F(Confined, HasNoRightsButThatOfOpeningFilesOfOthers) {
  const std::string kept = ::geteuid() == 0 ? "0000000000000002" : "0000000000000000";
  EXPECT_EQ(status_of_confined_child("CapEff"), kept);
  EXPECT_EQ(status_of_confined_child("CapPrm"), kept);
  EXPECT_EQ(status_of_confined_child("CapInh"), "0000000000000000");
  EXPECT_EQ(status_of_confined_child("CapAmb"), "0000000000000000");
  EXPECT_EQ(status_of_confined_child("NoNewPrivs"), "1");
  EXPECT_EQ(status_of_confined_child("Seccomp"), "2");
}

// --- kernels and containers that lack something
// -----------------------------------------------------------------------

/// As containers do it: these calls fail from now on.
void forbid(std::initializer_list<int> calls, int error) {
  void* filter = seccomp_init(SCMP_ACT_ALLOW);
  for (const int call : calls) seccomp_rule_add(filter, SCMP_ACT_ERRNO(static_cast<unsigned>(error)), call, 0);
  seccomp_load(filter);
  seccomp_release(filter);
}

TEST_F(Confined, GoesOnWithoutLandlockAndSaysSo) {
  EXPECT_EQ(in_child([&] {
              forbid({444, 445, 446}, ENOSYS);
              const flat::Confinement made = flat::confine({});
              const bool told = made.missing.size() == 1 && made.missing[0].find("Landlock") != std::string::npos;
              return told && made.landlock == 0 && made.system_calls && opening(secret_, O_RDONLY) == 0 ? 0 : 1;
            }),
            0);
}

TEST_F(Confined, GoesOnWithoutSeccompAndSaysSo) {
  EXPECT_EQ(in_child([&] {
              forbid({SCMP_SYS(seccomp)}, EPERM);
              const flat::Confinement made = flat::confine({});
              const bool told = made.missing.size() == 1 && made.missing[0].find("seccomp") != std::string::npos;
              return told && made.landlock > 0 && !made.system_calls && opening(secret_, O_RDONLY) == EACCES ? 0 : 1;
            }),
            0);
}

TEST_F(Confined, TellsWhatIsInForce) {
  EXPECT_EQ(in_child([&] {
              const flat::Confinement made = flat::confine({});
              const std::size_t capabilities = ::geteuid() == 0 ? 1 : 0;
              return made.asked_for && made.landlock > 0 && made.system_calls && made.no_new_privileges &&
                             made.missing.empty() && made.capabilities.size() == capabilities
                         ? 0
                         : 1;
            }),
            0);
}

}  // namespace
}  // namespace flatimg::test
