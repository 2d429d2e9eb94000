// The contract of HostFile, for each implementation: a room that works in memory works on a disk.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>
#include <future>

#include "host/posix_file.h"
#include "host/sticky_file.h"
#include "support/faulty_file.h"
#include "support/matchers.h"
#include "support/memory_file.h"
#include "support/recording_file.h"
#include "support/temp_dir.h"

namespace flatimg {
namespace {

using test::bytes_of;
using test::Succeeds;

HostRange range(std::uint64_t begin, std::uint64_t length) { return {HostOffset(begin), ByteCount(length)}; }

using Maker = std::unique_ptr<HostFile> (*)(const test::TempDir&);

struct Implementation {
  const char* name;
  Maker make;
};

std::unique_ptr<HostFile> on_disk(const test::TempDir& directory) {
  return open_host_file(directory.write("file", ""), Access::ReadWrite).value();
}
// A file system without ZERO_RANGE: the way round it.
std::unique_ptr<HostFile> on_tmpfs(const test::TempDir& /*unused*/) {
  const int fd = ::memfd_create("contract", MFD_CLOEXEC);
  return adopt_host_file(Descriptor(fd), "on tmpfs", Access::ReadWrite).value();
}
std::unique_ptr<HostFile> in_memory(const test::TempDir& /*unused*/) { return std::make_unique<test::MemoryFile>(); }
std::unique_ptr<HostFile> decorated(const test::TempDir& directory) {
  auto recording = std::make_unique<test::RecordingFile>(in_memory(directory), std::make_shared<test::Recording>());
  return with_sticky_failure(std::make_unique<test::FaultyFile>(std::move(recording)));
}

class HostFileContract : public ::testing::TestWithParam<Implementation> {
 protected:
  void write(std::uint64_t at, const std::string& text) {
    ASSERT_THAT(file_->write(HostOffset(at), bytes_of(text)), Succeeds());
  }
  std::string read(std::uint64_t at, std::size_t count) {
    std::vector<std::byte> out(count, std::byte{0xee});
    EXPECT_THAT(file_->read(HostOffset(at), out), Succeeds());
    return test::text_of(out);
  }

  test::TempDir directory_;
  std::unique_ptr<HostFile> file_ = GetParam().make(directory_);
};

TEST_P(HostFileContract, ReadsBackAndReadsZeroesPastTheEnd) {
  write(4090, "across blocks");
  EXPECT_EQ(read(4090, 15), std::string("across blocks\0\0", 15));
  EXPECT_EQ(read(0, 2), std::string(2, '\0'));
  EXPECT_EQ(file_->size().value(), 4103_B);
}

TEST_P(HostFileContract, JoinsParts) {
  const std::array parts = {bytes_of("one "), bytes_of(""), bytes_of("two")};
  EXPECT_THAT(file_->write(HostOffset(9), parts), Succeeds());
  EXPECT_EQ(read(9, 7), "one two");
}

TEST_P(HostFileContract, GrowsByZeroingOnlyWhenSpaceIsKept) {
  write(0, std::string(100, 'x'));
  EXPECT_THAT(file_->zero(range(50, 10000), Space::Release), Succeeds());
  EXPECT_EQ(file_->size().value(), 100_B);
  EXPECT_THAT(file_->zero(range(40, 10000), Space::Keep), Succeeds());
  EXPECT_EQ(file_->size().value(), 10040_B);
  EXPECT_EQ(read(39, 3), std::string("x\0\0", 3));
}

TEST_P(HostFileContract, ShowsNoOldBytesAfterShrinkingAndGrowing) {
  write(0, std::string(10000, 'x'));
  EXPECT_THAT(file_->resize(10_B), Succeeds());
  EXPECT_THAT(file_->resize(10000_B), Succeeds());
  EXPECT_EQ(read(0, 10000), std::string(10, 'x') + std::string(9990, '\0'));
}

TEST_P(HostFileContract, TellsDataFromHoles) {
  ASSERT_THAT(file_->resize(1_MiB), Succeeds());
  write(64 << 10, std::string(64 << 10, 'd'));
  EXPECT_EQ(file_->next_data(HostOffset()).value(), range(64 << 10, 64 << 10));
  EXPECT_EQ(file_->next_data(HostOffset(100 << 10)).value(), range(100 << 10, 28 << 10));
  EXPECT_TRUE(file_->next_data(HostOffset(128 << 10)).value().empty());
  EXPECT_TRUE(file_->next_data(HostOffset(2 << 20)).value().empty());
}

TEST_P(HostFileContract, ReleasesSpace) {
  write(0, std::string(1 << 20, 'd'));
  ASSERT_THAT(file_->barrier(), Succeeds());
  EXPECT_GE(file_->allocated().value(), 1_MiB);
  EXPECT_THAT(file_->zero(range(0, 1 << 20), Space::Release), Succeeds());
  EXPECT_LT(file_->allocated().value(), 1_MiB);
  EXPECT_EQ(file_->size().value(), 1_MiB);
}

TEST_P(HostFileContract, ReservesWithoutChangingBytes) {
  write(0, "abc");
  EXPECT_THAT(file_->reserve(range(1, 5000)), Succeeds());
  EXPECT_EQ(file_->size().value(), 5001_B);
  EXPECT_EQ(read(0, 5), std::string("abc\0\0", 5));
}

TEST_P(HostFileContract, DoesNothingForEmptyRanges) {
  write(0, "abc");
  EXPECT_THAT(file_->write(HostOffset(100), bytes_of("")), Succeeds());
  EXPECT_THAT(file_->zero(range(100, 0), Space::Keep), Succeeds());
  EXPECT_THAT(file_->zero(range(100, 0), Space::Release), Succeeds());
  EXPECT_THAT(file_->reserve(range(100, 0)), Succeeds());
  EXPECT_THAT(file_->read(HostOffset(100), {}), Succeeds());
  EXPECT_EQ(file_->size().value(), 3_B);
}

TEST_P(HostFileContract, ServesManyThreads) {
  std::vector<std::future<bool>> workers;
  for (std::uint64_t worker = 0; worker < 4; ++worker) {
    workers.push_back(std::async(std::launch::async, [this, worker] {
      bool right = true;
      for (std::uint64_t i = 0; i < 100; ++i) {
        const HostOffset at((i * 4 + worker) * 1000);
        const auto bytes = test::noise(1000, i * 4 + worker);
        std::vector<std::byte> out(1000);
        right = right && file_->write(at, bytes) && file_->read(at, out) && out == bytes;
      }
      return right;
    }));
  }
  for (auto& worker : workers) EXPECT_TRUE(worker.get());
  EXPECT_EQ(file_->size().value(), 400000_B);
}

INSTANTIATE_TEST_SUITE_P(Each, HostFileContract,
                         ::testing::Values(Implementation{"Posix", on_disk}, Implementation{"Tmpfs", on_tmpfs},
                                           Implementation{"Memory", in_memory}, Implementation{"Decorated", decorated}),
                         [](const auto& each) { return each.param.name; });

TEST(RecordingFile, NumbersOperationsOfAllFilesInOneSequence) {
  const auto recording = std::make_shared<test::Recording>();
  test::RecordingFile one(std::make_unique<test::MemoryFile>(), recording);
  test::RecordingFile two(std::make_unique<test::MemoryFile>(), recording);
  ASSERT_THAT(one.write(HostOffset(5), bytes_of("ab")), Succeeds());
  ASSERT_THAT(two.resize(9_B), Succeeds());
  ASSERT_THAT(one.barrier(), Succeeds());
  const auto log = recording->operations();
  ASSERT_EQ(log.size(), 3u);
  EXPECT_EQ(log[0].where, range(5, 2));
  EXPECT_EQ(test::text_of(log[0].bytes), "ab");
  EXPECT_EQ(log[1].file, 1u);
  EXPECT_EQ(log[2].kind, test::Operation::Kind::Barrier);
  EXPECT_LT(log[0].completed, log[2].issued);
}

TEST(FaultyFile, FailsTheCallThatWasPlannedOnceOrForEver) {
  using test::FaultyFile;
  FaultyFile file(std::make_unique<test::MemoryFile>());
  file.plan({.calls = {test::Call::Write}, .nth = 2, .times = FaultyFile::Times::Once, .os_error = 28});
  EXPECT_THAT(file.write(HostOffset(), bytes_of("1")), Succeeds());
  EXPECT_THAT(file.barrier(), Succeeds());
  EXPECT_THAT(file.write(HostOffset(), bytes_of("2")), test::FailsWith(ErrorKind::NoSpace, "planned"));
  EXPECT_THAT(file.write(HostOffset(), bytes_of("3")), Succeeds());
  file.plan({.nth = 1, .times = FaultyFile::Times::ForEver});
  EXPECT_FALSE(file.barrier());
  EXPECT_FALSE(file.size());
  file.heal();
  EXPECT_THAT(file.barrier(), Succeeds());
  EXPECT_EQ(file.calls(test::Call::Write), 3u);
  EXPECT_EQ(file.changing_calls(), 6u);
}

}  // namespace
}  // namespace flatimg
