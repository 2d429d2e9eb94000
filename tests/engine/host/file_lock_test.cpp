#include "host/file_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include "host/sticky_file.h"
#include "support/matchers.h"
#include "support/memory_file.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace flatimg {
namespace {

using test::Conversation;
using test::FailsWith;
using test::run;
using test::Succeeds;
using ::testing::HasSubstr;

class FileLock : public ::testing::Test {
 protected:
  std::unique_ptr<HostFile> opened() { return open_host_file(path_, Access::ReadWrite).value(); }

  test::TempDir directory_;
  std::string path_ = directory_.write("disk.raw", std::string(4096, 'x'));
};

TEST_F(FileLock, LetsReadersShareWithReaders) {
  const auto one = opened();
  const auto two = opened();
  EXPECT_THAT(lock_image(*one, LockAs::Reader), Succeeds());
  EXPECT_THAT(lock_image(*two, LockAs::Reader), Succeeds());
}

TEST_F(FileLock, KeepsWritersFromEverybody) {
  const auto one = opened();
  const auto two = opened();
  ASSERT_THAT(lock_image(*one, LockAs::Writer), Succeeds());
  EXPECT_THAT(lock_image(*two, LockAs::Writer), FailsWith(ErrorKind::Busy, "disk.raw: is in use by this process"));
  EXPECT_THAT(lock_image(*two, LockAs::Reader), FailsWith(ErrorKind::Busy, "disk.raw: is in use by this process"));
}

TEST_F(FileLock, KeepsAWriterFromAReader) {
  const auto one = opened();
  const auto two = opened();
  ASSERT_THAT(lock_image(*one, LockAs::Reader), Succeeds());
  EXPECT_THAT(lock_image(*two, LockAs::Writer), FailsWith(ErrorKind::Busy, "this process"));
}

TEST_F(FileLock, HoldsNothingAfterAConflict) {
  auto holder = opened();
  const auto refused = opened();
  ASSERT_THAT(lock_image(*holder, LockAs::Writer), Succeeds());
  ASSERT_THAT(lock_image(*refused, LockAs::Reader), FailsWith(ErrorKind::Busy, ""));
  holder.reset();
  const auto third = opened();
  EXPECT_THAT(lock_image(*third, LockAs::Writer), Succeeds());
}

TEST_F(FileLock, EndsWithTheFile) {
  ASSERT_THAT(lock_image(*opened(), LockAs::Writer), Succeeds());
  EXPECT_THAT(lock_image(*opened(), LockAs::Writer), Succeeds());
}

TEST_F(FileLock, OutlivesOtherDescriptorsOfTheProcess) {
  const auto holder = opened();
  ASSERT_THAT(lock_image(*holder, LockAs::Writer), Succeeds());
  (void)opened();  // closing this one would end POSIX locks
  EXPECT_THAT(lock_image(*opened(), LockAs::Reader), FailsWith(ErrorKind::Busy, ""));
}

TEST_F(FileLock, ChangesItsRole) {
  const auto one = opened();
  const auto two = opened();
  ASSERT_THAT(lock_image(*one, LockAs::Writer), Succeeds());
  ASSERT_THAT(lock_image(*one, LockAs::Reader), Succeeds());
  EXPECT_THAT(lock_image(*two, LockAs::Reader), Succeeds());
  EXPECT_THAT(lock_image(*one, LockAs::Writer), FailsWith(ErrorKind::Busy, ""));
}

TEST_F(FileLock, LooksThroughDecorators) {
  const auto one = with_sticky_failure(opened());
  ASSERT_THAT(lock_image(*one, LockAs::Writer), Succeeds());
  EXPECT_THAT(lock_image(*opened(), LockAs::Reader), FailsWith(ErrorKind::Busy, ""));
}

TEST_F(FileLock, ExcludesUnderEveryNameOfTheFile) {
  ASSERT_EQ(::link(path_.c_str(), (directory_ / "second name").c_str()), 0);
  const auto one = opened();
  ASSERT_THAT(lock_image(*one, LockAs::Writer), Succeeds());
  const auto two = open_host_file(directory_ / "second name", Access::ReadOnly).value();
  EXPECT_THAT(lock_image(*two, LockAs::Reader), FailsWith(ErrorKind::Busy, "second name"));
}

TEST_F(FileLock, DoesNotConcernFilesInMemory) {
  const test::MemoryFile file;
  EXPECT_THAT(lock_image(file, LockAs::Writer), Succeeds());
}

TEST_F(FileLock, NamesAHolderOfAFlock) {
  if (!test::has_program("flock")) GTEST_SKIP() << "no flock(1)";
  Conversation holder({"flock", "-x", path_, "sh", "-c", "echo locked; read line"});
  ASSERT_THAT(holder.read_until("locked"), HasSubstr("locked"));
  EXPECT_THAT(lock_image(*opened(), LockAs::Reader), FailsWith(ErrorKind::Busy, "(pid "));
  EXPECT_THAT(lock_image(*opened(), LockAs::Writer), FailsWith(ErrorKind::Busy, "in use by "));
  holder.finish();
  EXPECT_THAT(lock_image(*opened(), LockAs::Writer), Succeeds());
}

TEST_F(FileLock, KeepsAwayWhoeverUsesFlock) {
  if (!test::has_program("flock")) GTEST_SKIP() << "no flock(1)";
  const auto file = opened();
  ASSERT_THAT(lock_image(*file, LockAs::Reader), Succeeds());
  EXPECT_EQ(run({"flock", "-n", "-s", path_, "true"}).exit_code, 0);
  EXPECT_NE(run({"flock", "-n", "-x", path_, "true"}).exit_code, 0);
  ASSERT_THAT(lock_image(*file, LockAs::Writer), Succeeds());
  EXPECT_NE(run({"flock", "-n", "-s", path_, "true"}).exit_code, 0);
}

TEST_F(FileLock, MeetsWriteLocksOverAllBytes) {
  const Descriptor other(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  ASSERT_EQ(::fcntl(other.get(), F_OFD_SETLK, &whole), 0);
  EXPECT_THAT(lock_image(*opened(), LockAs::Reader), FailsWith(ErrorKind::Busy, "in use by"));
}

// With QEMU's own tools. qemu-io holds the image while it waits for commands.
class FileLockAndQemu : public FileLock {
 protected:
  void SetUp() override {
    if (!test::has_program("qemu-img") || !test::has_program("qemu-io")) GTEST_SKIP() << "no QEMU tools";
    path_ = directory_ / "disk.qcow2";
    ASSERT_EQ(run({"qemu-img", "create", "-q", "-f", "qcow2", path_, "1M"}).exit_code, 0);
  }
  struct Holder {
    explicit Holder(std::vector<std::string> command) : qemu_io(command) {
      qemu_io.say("length");
      said = qemu_io.read_until("1 MiB");
    }
    Conversation qemu_io;
    std::string said;
  };
  [[nodiscard]] Holder qemu_writer() const { return Holder({"qemu-io", "-f", "qcow2", path_}); }
  [[nodiscard]] Holder qemu_reader() const { return Holder({"qemu-io", "-r", "-f", "qcow2", path_}); }
};

TEST_F(FileLockAndQemu, IsRefusedWhileQemuWrites) {
  Holder qemu = qemu_writer();
  ASSERT_THAT(qemu.said, HasSubstr("1 MiB"));
  const std::string holder = "is in use by qemu-io (pid " + std::to_string(qemu.qemu_io.process()) + ")";
  EXPECT_THAT(lock_image(*opened(), LockAs::Writer), FailsWith(ErrorKind::Busy, holder));
  EXPECT_THAT(lock_image(*opened(), LockAs::Reader), FailsWith(ErrorKind::Busy, holder));
  EXPECT_EQ(qemu.qemu_io.finish().exit_code, 0);
  EXPECT_THAT(lock_image(*opened(), LockAs::Writer), Succeeds());
}

TEST_F(FileLockAndQemu, NamesTheOtherProcessRatherThanThisOne) {
  const auto elsewhere = opened();  // a lock of our own that is not in the way
  ASSERT_THAT(lock_image(*elsewhere, LockAs::Reader), Succeeds());
  Holder qemu = qemu_reader();
  ASSERT_THAT(qemu.said, HasSubstr("1 MiB"));
  const auto twice = opened();
  ASSERT_EQ(::flock(descriptor_of(*elsewhere), LOCK_UN), 0);
  EXPECT_THAT(lock_image(*twice, LockAs::Writer), FailsWith(ErrorKind::Busy, "qemu-io (pid "));
}

TEST_F(FileLockAndQemu, ReadsTogetherWithAReaderAndDoesNotWrite) {
  Holder qemu = qemu_reader();
  ASSERT_THAT(qemu.said, HasSubstr("1 MiB"));
  EXPECT_THAT(lock_image(*opened(), LockAs::Reader), Succeeds());
  EXPECT_THAT(lock_image(*opened(), LockAs::Writer), FailsWith(ErrorKind::Busy, "qemu-io"));
}

TEST_F(FileLockAndQemu, KeepsQemuAwayWhileWriting) {
  const auto file = opened();
  ASSERT_THAT(lock_image(*file, LockAs::Writer), Succeeds());
  for (const auto& command : std::vector<std::vector<std::string>>{{"qemu-img", "info", path_},
                                                                   {"qemu-img", "check", path_},
                                                                   {"qemu-io", "-r", "-c", "length", path_},
                                                                   {"qemu-io", "-c", "length", path_}}) {
    const auto finished = run(command);
    EXPECT_NE(finished.exit_code, 0) << command[0] << ' ' << command[1];
    EXPECT_THAT(finished.output, HasSubstr("lock"));
  }
  EXPECT_EQ(run({"qemu-img", "info", "-U", path_}).exit_code, 0);
}

TEST_F(FileLockAndQemu, LetsQemuReadAndNotWriteWhileReading) {
  const auto file = opened();
  ASSERT_THAT(lock_image(*file, LockAs::Reader), Succeeds());
  EXPECT_EQ(run({"qemu-img", "info", path_}).exit_code, 0);
  EXPECT_EQ(run({"qemu-io", "-r", "-c", "length", path_}).exit_code, 0);
  const auto writer = run({"qemu-io", "-c", "length", path_});
  EXPECT_NE(writer.exit_code, 0);
  EXPECT_THAT(writer.output, HasSubstr("lock"));
}

TEST_F(FileLockAndQemu, IsFreeAgainWhenQemuWasKilled) {
  {
    const Holder qemu = qemu_writer();
    ASSERT_THAT(qemu.said, HasSubstr("1 MiB"));
  }  // killed here
  EXPECT_THAT(lock_image(*opened(), LockAs::Writer), Succeeds());
}

}  // namespace
}  // namespace flatimg
