// What is left to a process that serves a directory of images, tried from inside: what a tree takes, and nothing else.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <initializer_list>
#include <string>

#include "security/confined_child.h"
#include "support/temp_dir.h"

namespace flatimg::test {
namespace {

using flat::Reachable;
using flat::Rights;

int error_of(long outcome) { return outcome < 0 ? errno : 0; }

int opening(const std::string& path, int flags) {
  return error_of(::openat(AT_FDCWD, path.c_str(), flags | O_CLOEXEC, 0600));
}

bool is_refused(int error) { return error == EACCES || error == EXDEV || error == EPERM; }

class ConfinedToATree : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = why_no_confinement(); !why.empty()) GTEST_SKIP() << why;
    if (flat::landlock_version() < 2) GTEST_SKIP() << "Landlock of this kernel is too old for trees";
    ::mkdir((inside_ / "a").c_str(), 0755);
    ::mkdir((inside_ / "b").c_str(), 0755);
  }
  /// What an attempt comes to in a child that is confined to the directory.
  int attempt(const std::function<int()>& what, Rights rights = Rights::Tree) {
    return confined({{inside_.path(), rights}, {"/proc", Rights::Read}}, what);
  }
  /// The same, as a number that says whether it was refused.
  void expect_refused(const std::function<long()>& what, const char* name) {
    EXPECT_EQ(attempt([&] { return is_refused(error_of(what())) ? 0 : 1; }), 0) << name;
  }

  TempDir inside_;
  TempDir outside_;
  std::string file_ = inside_.write("file", "in reach");
  std::string secret_ = outside_.write("secret", "out of reach");
};

TEST_F(ConfinedToATree, ManagesTheFilesOfItsDirectory) {
  EXPECT_EQ(attempt([&] { return opening(inside_ / "new", O_RDWR | O_CREAT | O_EXCL); }), 0);
  EXPECT_EQ(attempt([&] { return opening(inside_.path(), O_RDONLY | O_DIRECTORY); }), 0);
  EXPECT_EQ(attempt([&] { return error_of(::mkdirat(AT_FDCWD, (inside_ / "d").c_str(), 0700)); }), 0);
  EXPECT_EQ(attempt([&] { return error_of(::symlinkat("x", AT_FDCWD, (inside_ / "s").c_str())); }), 0);
  EXPECT_EQ(attempt([&] { return error_of(::mknodat(AT_FDCWD, (inside_ / "p").c_str(), S_IFIFO | 0600, 0)); }), 0);
  EXPECT_EQ(
      attempt([&] { return error_of(::linkat(AT_FDCWD, file_.c_str(), AT_FDCWD, (inside_ / "a/l").c_str(), 0)); }), 0);
  EXPECT_EQ(attempt([&] {
              return error_of(::renameat2(AT_FDCWD, (inside_ / "a/l").c_str(), AT_FDCWD, (inside_ / "b/l").c_str(), 0));
            }),
            0);
  EXPECT_EQ(attempt([&] { return error_of(::fchmodat(AT_FDCWD, file_.c_str(), 0640, 0)); }), 0);
  EXPECT_EQ(attempt([&] { return error_of(::unlinkat(AT_FDCWD, (inside_ / "b/l").c_str(), 0)); }), 0);
  EXPECT_EQ(attempt([&] { return error_of(::unlinkat(AT_FDCWD, (inside_ / "d").c_str(), AT_REMOVEDIR)); }), 0);
}

TEST_F(ConfinedToATree, ReachesNoFileOutsideInAnyWay) {
  EXPECT_EQ(attempt([&] { return opening(secret_, O_RDONLY); }), EACCES);
  EXPECT_EQ(attempt([&] { return opening(outside_ / "new", O_RDWR | O_CREAT); }), EACCES);
  EXPECT_EQ(attempt([&] { return opening(outside_.path(), O_RDONLY | O_DIRECTORY); }), EACCES);
  EXPECT_EQ(attempt([&] { return error_of(::truncate(secret_.c_str(), 0)); }), EACCES);
  expect_refused([&] { return ::mkdirat(AT_FDCWD, (outside_ / "d").c_str(), 0700); }, "mkdirat");
  expect_refused([&] { return ::unlinkat(AT_FDCWD, secret_.c_str(), 0); }, "unlinkat");
  expect_refused([&] { return ::symlinkat("x", AT_FDCWD, (outside_ / "s").c_str()); }, "symlinkat");
  expect_refused([&] { return ::linkat(AT_FDCWD, secret_.c_str(), AT_FDCWD, (inside_ / "l").c_str(), 0); }, "link in");
  expect_refused([&] { return ::linkat(AT_FDCWD, file_.c_str(), AT_FDCWD, (outside_ / "l").c_str(), 0); }, "link out");
  expect_refused([&] { return ::renameat2(AT_FDCWD, secret_.c_str(), AT_FDCWD, (inside_ / "s").c_str(), 0); }, "in");
  expect_refused([&] { return ::renameat2(AT_FDCWD, file_.c_str(), AT_FDCWD, (outside_ / "f").c_str(), 0); }, "out");
  EXPECT_EQ(contents_of(secret_), "out of reach");
  EXPECT_EQ(contents_of(file_), "in reach");
}

TEST_F(ConfinedToATree, ChangesNothingOfADirectoryThatIsToBeRead) {
  const auto reading = [&](const std::function<int()>& what) { return attempt(what, Rights::ReadTree); };
  EXPECT_EQ(reading([&] { return opening(file_, O_RDONLY); }), 0);
  EXPECT_EQ(reading([&] { return opening(inside_.path(), O_RDONLY | O_DIRECTORY); }), 0);
  EXPECT_EQ(reading([&] { return opening(file_, O_WRONLY); }), EACCES);
  EXPECT_EQ(reading([&] { return opening(inside_ / "new", O_RDWR | O_CREAT); }), EACCES);
  EXPECT_EQ(reading([&] { return error_of(::unlinkat(AT_FDCWD, file_.c_str(), 0)); }), EACCES);
}

TEST_F(ConfinedToATree, MakesNoDevices) {
  for (const mode_t type : std::initializer_list<mode_t>{S_IFCHR, S_IFBLK}) {
    expect_refused([&] { return ::mknodat(AT_FDCWD, (inside_ / "device").c_str(), type | 0600, makedev(1, 3)); },
                   "device");
  }
}

TEST_F(ConfinedToATree, HasNoCallsButThoseOfATree) {
  EXPECT_EQ(attempt([&] { return error_of(::syscall(SYS_chmod, file_.c_str(), 0777)); }), ENOSYS);
  EXPECT_EQ(attempt([&] { return error_of(::syscall(SYS_unlink, file_.c_str())); }), ENOSYS);
  EXPECT_EQ(attempt([&] { return error_of(::setxattr(file_.c_str(), "user.x", "1", 1, 0)); }), ENOSYS);
  EXPECT_EQ(attempt([&] { return error_of(::setxattr(secret_.c_str(), "user.x", "1", 1, 0)); }), ENOSYS);
  EXPECT_EQ(attempt([] { return error_of(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, 0)); }), ENOSYS);
}

TEST_F(ConfinedToATree, DiesOfWhatOnlyAnIntruderDoes) {
  const std::array<std::pair<const char*, std::function<void()>>, 6> attempts{{
      {"execve", [] { ::execl("/bin/true", "true", nullptr); }},
      {"socket", [] { (void)::socket(AF_UNIX, SOCK_STREAM, 0); }},
      {"setuid", [] { (void)::syscall(SYS_setuid, 0); }},
      {"setresgid", [] { (void)::syscall(SYS_setresgid, 0, 0, 0); }},
      {"kill", [] { ::kill(::getppid(), 0); }},
      {"open_by_handle_at", [] { (void)::syscall(SYS_open_by_handle_at, 0, nullptr, 0); }},
  }};
  for (const auto& [name, call] : attempts) {
    EXPECT_EQ(attempt([&call = call] { return call(), 0; }), kKilledBySystemCall) << name;
  }
}

TEST_F(ConfinedToATree, SeesOfOtherProcessesWhatEverybodySees) {
  const std::string parent = "/proc/" + std::to_string(::getpid());
  EXPECT_EQ(attempt([&] { return opening(parent + "/status", O_RDONLY); }), 0);
  expect_refused([&] { return ::openat(AT_FDCWD, (parent + "/environ").c_str(), O_RDONLY); }, "environ");
  expect_refused([&] { return ::openat(AT_FDCWD, (parent + "/mem").c_str(), O_RDONLY); }, "mem");
  expect_refused([&] { return ::openat(AT_FDCWD, "/proc/self/mem", O_RDWR); }, "own memory, past its protection");
  expect_refused([&] { return ::openat(AT_FDCWD, "/proc/sys/kernel/core_pattern", O_WRONLY); }, "core_pattern");
}

TEST_F(ConfinedToATree, ActsAsSomebodyElseAndComesBack) {
  if (::geteuid() != 0) GTEST_SKIP() << "not root";
  const std::string others = inside_ / "others";
  ::mkdir(others.c_str(), 0777);
  ::chmod(others.c_str(), 0777);
  ::chmod(inside_.path().c_str(), 0755);
  ::chmod(file_.c_str(), 0600);
  EXPECT_EQ(attempt([&] {
              ::setfsgid(1234);
              ::setfsuid(1234);
              if (opening(others + "/mine", O_RDWR | O_CREAT) != 0) return 1;
              if (opening(file_, O_RDONLY) != EACCES) return 2;
              ::setfsuid(0);
              ::setfsgid(0);
              return opening(file_, O_RDONLY) == 0 ? 0 : 3;
            }),
            0);
  struct stat made {};
  ASSERT_EQ(::stat((others + "/mine").c_str(), &made), 0);
  EXPECT_EQ(made.st_uid, 1234u);
  EXPECT_EQ(made.st_gid, 1234u);
}

TEST_F(ConfinedToATree, KeepsTheCapabilitiesOfActingAsTheCallerOnly) {
  if (::geteuid() != 0) GTEST_SKIP() << "not root";
  const std::vector<std::string> expected{"cap_chown",  "cap_dac_override", "cap_fowner",
                                          "cap_fsetid", "cap_setgid",       "cap_setuid"};
  EXPECT_EQ(in_child([&] {
              return flat::confine({{inside_.path(), Rights::Tree}}).capabilities == expected ? 0 : 1;
            }),
            0);
}

}  // namespace
}  // namespace flatimg::test
