#include "host/posix_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "support/matchers.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace flatimg {
namespace {

using test::bytes_of;
using test::FailsWith;
using test::Succeeds;

class PosixFile : public ::testing::Test {
 protected:
  std::unique_ptr<HostFile> with(std::string_view contents, Access access = Access::ReadWrite) {
    return open_host_file(directory_.write("file", contents), access).value();
  }
  std::string all() { return test::contents_of(directory_ / "file"); }

  test::TempDir directory_;
};

std::string text_at(HostFile& file, std::uint64_t at, std::size_t count) {
  std::vector<std::byte> out(count, std::byte{0xee});
  EXPECT_THAT(file.read(HostOffset(at), out), Succeeds());
  return test::text_of(out);
}

HostRange range(std::uint64_t begin, std::uint64_t length) { return {HostOffset(begin), ByteCount(length)}; }

TEST_F(PosixFile, ReadsWhatIsThere) { EXPECT_EQ(text_at(*with("abcdef"), 2, 3), "cde"); }

TEST_F(PosixFile, ReadsZeroesPastTheEnd) {
  const auto file = with("abc");
  EXPECT_EQ(text_at(*file, 1, 4), std::string("bc\0\0", 4));
  EXPECT_EQ(text_at(*file, 1000, 2), std::string(2, '\0'));
  EXPECT_EQ(text_at(*file, ~std::uint64_t{0} - 10, 2), std::string(2, '\0'));
}

TEST_F(PosixFile, WritesPartsOneBehindTheOther) {
  const auto file = with("0123456789");
  const std::array parts = {bytes_of("ab"), bytes_of(""), bytes_of("c")};
  EXPECT_THAT(file->write(HostOffset(1), parts), Succeeds());
  EXPECT_EQ(all(), "0abc456789");
}

// The host writes up to the limit and says so; only the next try is an error.
TEST_F(PosixFile, TakesAShortWriteForNoWholeOne) {
  const auto file = with("");
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{6000, before.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto written = file->write(HostOffset(1000), std::vector(8000, std::byte{'x'}));
  EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().os_error, EFBIG);
  EXPECT_EQ(all().size(), 6000u);  // it was a short one
}

TEST_F(PosixFile, WritesMorePartsThanOneSystemCallTakes) {
  const auto file = with("");
  const std::vector parts(IOV_MAX + 500, bytes_of("xy"));
  EXPECT_THAT(file->write(HostOffset(3), parts), Succeeds());
  ASSERT_EQ(all().size(), 3 + 2 * parts.size());
  EXPECT_EQ(all().find('\0', 3), std::string::npos);
}

TEST_F(PosixFile, GrowsByWriting) {
  const auto file = with("");
  EXPECT_THAT(file->write(HostOffset(5), bytes_of("end")), Succeeds());
  EXPECT_EQ(file->size().value(), 8_B);
  EXPECT_EQ(all(), std::string("\0\0\0\0\0end", 8));
}

TEST_F(PosixFile, RefusesToWriteWhereNoFileReaches) {
  EXPECT_THAT(with("")->write(HostOffset(~std::uint64_t{0} - 1), bytes_of("abc")),
              FailsWith(ErrorKind::NoSpace, "file"));
}

TEST_F(PosixFile, ReleasedRangesReadAsZeroesAndDoNotGrowTheFile) {
  const auto file = with(std::string(20000, 'x'));
  EXPECT_THAT(file->zero(range(100, 16000), Space::Release), Succeeds());
  EXPECT_THAT(file->zero(range(19000, 50000), Space::Release), Succeeds());
  EXPECT_EQ(all(), std::string(100, 'x') + std::string(16000, '\0') + std::string(2900, 'x') + std::string(1000, '\0'));
  EXPECT_THAT(file->zero(range(1 << 20, 4096), Space::Release), Succeeds());
  EXPECT_EQ(file->size().value(), 20000_B);
}

TEST_F(PosixFile, KeptRangesReadAsZeroesAndGrowTheFile) {
  const auto file = with("xxxxxx");
  EXPECT_THAT(file->zero(range(2, 3), Space::Keep), Succeeds());
  EXPECT_EQ(all(), std::string("xx\0\0\0x", 6));
  EXPECT_THAT(file->zero(range(4, 8192), Space::Keep), Succeeds());
  EXPECT_EQ(file->size().value(), 8196_B);
}

TEST_F(PosixFile, ReleasingGivesSpaceBackAndKeepingDoesNot) {
  const auto file = with(std::string(1 << 20, 'x'));
  ASSERT_THAT(file->barrier(), Succeeds());
  const ByteCount full = file->allocated().value();
  EXPECT_THAT(file->zero(range(0, 1 << 19), Space::Keep), Succeeds());
  EXPECT_GE(file->allocated().value(), full);
  EXPECT_THAT(file->zero(range(0, 1 << 19), Space::Release), Succeeds());
  EXPECT_LT(file->allocated().value(), full);
}

TEST_F(PosixFile, ReservingChangesNoByteAndGrows) {
  const auto file = with("abc");
  EXPECT_THAT(file->reserve(range(0, 10000)), Succeeds());
  EXPECT_EQ(file->size().value(), 10000_B);
  EXPECT_EQ(text_at(*file, 0, 4), std::string("abc\0", 4));
  EXPECT_GE(file->allocated().value(), 10000_B);
}

TEST_F(PosixFile, ResizesBothWays) {
  const auto file = with("abcdef");
  EXPECT_THAT(file->resize(3_B), Succeeds());
  EXPECT_THAT(file->resize(5_B), Succeeds());
  EXPECT_EQ(all(), std::string("abc\0\0", 5));
}

TEST_F(PosixFile, FindsDataBetweenHoles) {
  const auto file = with("");
  ASSERT_THAT(file->resize(3_MiB), Succeeds());
  ASSERT_THAT(file->write(HostOffset(1 << 20), bytes_of(std::string(1 << 20, 'd'))), Succeeds());
  EXPECT_EQ(file->next_data(HostOffset(0)).value(), range(1 << 20, 1 << 20));
  EXPECT_EQ(file->next_data(HostOffset((1 << 20) + 5)).value(), range((1 << 20) + 5, (1 << 20) - 5));
  EXPECT_TRUE(file->next_data(HostOffset(2 << 20)).value().empty());
  EXPECT_TRUE(file->next_data(HostOffset(9 << 20)).value().empty());
}

TEST_F(PosixFile, RefusesEveryChangeWhenOpenedForReading) {
  const auto file = with("abc", Access::ReadOnly);
  EXPECT_FALSE(file->writable());
  EXPECT_THAT(file->write(HostOffset(), bytes_of("x")), FailsWith(ErrorKind::Denied, "reading only"));
  EXPECT_THAT(file->zero(range(0, 1), Space::Release), FailsWith(ErrorKind::Denied, "reading only"));
  EXPECT_THAT(file->reserve(range(0, 1)), FailsWith(ErrorKind::Denied, "reading only"));
  EXPECT_THAT(file->resize(9_B), FailsWith(ErrorKind::Denied, "reading only"));
  EXPECT_EQ(all(), "abc");
}

TEST_F(PosixFile, IsTheSameFileUnderTwoNames) {
  const auto file = with("abc");
  ASSERT_EQ(::link((directory_ / "file").c_str(), (directory_ / "other").c_str()), 0);
  EXPECT_EQ(file->identity(), open_host_file(directory_ / "other", Access::ReadOnly).value()->identity());
  EXPECT_NE(file->identity(), open_host_file(directory_.write("third", ""), Access::ReadOnly).value()->identity());
}

TEST_F(PosixFile, IsClosedOnExecAndDoesNotFailInsteadOfWaiting) {
  const auto file = with("abc");
  EXPECT_NE(::fcntl(descriptor_of(*file), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(::fcntl(descriptor_of(*file), F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(PosixFile, DoesNotTakeOverADescriptorOfADevice) {
  Descriptor full(::open("/dev/full", O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(full.valid());
  EXPECT_THAT(adopt_host_file(std::move(full), "full", Access::ReadWrite),
              FailsWith(ErrorKind::Denied, "character device"));
}

// A loop device, where this machine lets us make one.
class LoopDevice {
 public:
  explicit LoopDevice(const std::string& path) {
    const auto made = test::run({"losetup", "--find", "--show", path});
    if (made.exit_code == 0) name_ = made.output.substr(0, made.output.find('\n'));
  }
  ~LoopDevice() {
    if (exists()) test::run({"losetup", "--detach", name_});
  }
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;
  [[nodiscard]] bool exists() const { return !name_.empty(); }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  std::string name_;
};

TEST_F(PosixFile, WorksOnABlockDevice) {
  const LoopDevice device(directory_.write("file", std::string(1 << 20, 'x')));
  if (!device.exists()) GTEST_SKIP() << "no loop device to be had";
  const auto file = open_host_file(device.name(), Access::ReadWrite).value();
  EXPECT_TRUE(file->is_block_device());
  EXPECT_EQ(file->size().value(), 1_MiB);
  EXPECT_EQ(file->allocated().value(), 1_MiB);
  EXPECT_EQ(file->next_data(HostOffset(5)).value(), range(5, (1 << 20) - 5));

  EXPECT_THAT(file->zero(range(4096, 8192), Space::Release), Succeeds());
  EXPECT_THAT(file->zero(range(20000, 1000), Space::Keep), Succeeds());
  EXPECT_THAT(file->zero(range((1 << 20) - 4096, 9000), Space::Release), Succeeds());
  EXPECT_EQ(text_at(*file, 4095, 8194), "x" + std::string(8192, '\0') + "x");
  EXPECT_EQ(text_at(*file, 19999, 1002), "x" + std::string(1000, '\0') + "x");
  EXPECT_EQ(text_at(*file, (1 << 20) - 4097, 5000), "x" + std::string(4999, '\0'));

  EXPECT_THAT(file->reserve(range(0, 1 << 20)), Succeeds());
  EXPECT_THAT(file->reserve(range(1 << 20, 1)), FailsWith(ErrorKind::NoSpace, "reserve"));
  EXPECT_THAT(file->write(HostOffset(1 << 20), bytes_of("x")), FailsWith(ErrorKind::NoSpace, "write"));
  EXPECT_THAT(file->resize(2_MiB), FailsWith(ErrorKind::Unsupported, "block device"));
  EXPECT_THAT(file->barrier(), Succeeds());
}

TEST_F(PosixFile, OpensNothingThatIsMissingOrNameless) {
  EXPECT_THAT(open_host_file(directory_ / "none", Access::ReadOnly), FailsWith(ErrorKind::NotFound, "No such file"));
  EXPECT_THAT(open_host_file("", Access::ReadOnly), FailsWith(ErrorKind::BadUsage, "empty"));
  EXPECT_THAT(open_host_file(std::string("a\0b", 3), Access::ReadOnly), FailsWith(ErrorKind::BadUsage, "NUL"));
}

TEST_F(PosixFile, RefusesAFifoWithoutWaitingForIt) {
  ASSERT_EQ(::mkfifo((directory_ / "fifo").c_str(), 0600), 0);
  EXPECT_THAT(open_host_file(directory_ / "fifo", Access::ReadOnly), FailsWith(ErrorKind::Denied, "is a FIFO"));
  EXPECT_THAT(open_host_file(directory_ / "fifo", Access::ReadWrite), FailsWith(ErrorKind::Denied, "is a FIFO"));
}

TEST_F(PosixFile, RefusesDirectoriesAndDevicesByTheirKind) {
  EXPECT_THAT(open_host_file(directory_.path(), Access::ReadOnly), FailsWith(ErrorKind::Denied, "is a directory"));
  EXPECT_THAT(open_host_file("/dev/null", Access::ReadOnly), FailsWith(ErrorKind::Denied, "is a character device"));
}

TEST_F(PosixFile, ShowsNamesEscaped) {
  EXPECT_THAT(open_host_file(directory_ / "a\nb", Access::ReadOnly),
              FailsWith(ErrorKind::NotFound, "a\\x0ab: No such"));
}

TEST_F(PosixFile, CreatesOnlyWhatDoesNotExist) {
  auto created = create_host_file(directory_ / "new");
  ASSERT_THAT(created, Succeeds());
  EXPECT_TRUE((*created)->writable());
  EXPECT_THAT(create_host_file(directory_ / "new"), FailsWith(ErrorKind::Denied, "another name"));
}

TEST_F(PosixFile, DoesNotTakeADescriptorForMoreThanItAllows) {
  const std::string path = directory_.write("file", "abc");
  Descriptor reading(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_THAT(adopt_host_file(std::move(reading), path, Access::ReadWrite), FailsWith(ErrorKind::Denied, "not opened"));
  Descriptor looking(::open(path.c_str(), O_PATH | O_CLOEXEC));
  EXPECT_THAT(adopt_host_file(std::move(looking), path, Access::ReadOnly), FailsWith(ErrorKind::Denied, "not opened"));
}

}  // namespace
}  // namespace flatimg
