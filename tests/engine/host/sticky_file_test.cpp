#include "host/sticky_file.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "host/posix_file.h"
#include "support/faulty_file.h"
#include "support/matchers.h"
#include "support/memory_file.h"
#include "support/temp_dir.h"

namespace flatimg {
namespace {

using test::bytes_of;
using test::Call;
using test::FailsWith;
using test::FaultyFile;
using test::Succeeds;

class StickyFile : public ::testing::Test {
 protected:
  StickyFile() {
    auto faulty = std::make_unique<FaultyFile>(std::make_unique<test::MemoryFile>());
    faulty_ = faulty.get();
    file_ = with_sticky_failure(std::move(faulty));
  }
  void lose_a_barrier() {
    faulty_->plan({.calls = {Call::Barrier}, .times = FaultyFile::Times::Once, .os_error = EIO});
    EXPECT_THAT(file_->barrier(), FailsWith(ErrorKind::Io, "planned fault"));
  }

  FaultyFile* faulty_;
  std::unique_ptr<HostFile> file_;
};

TEST_F(StickyFile, PassesEverythingOnWhileSound) {
  EXPECT_THAT(file_->write(HostOffset(), bytes_of("abc")), Succeeds());
  EXPECT_THAT(file_->barrier(), Succeeds());
  EXPECT_EQ(file_->size().value(), 3_B);
}

TEST_F(StickyFile, NeverReportsSuccessAfterALostBarrier) {
  lose_a_barrier();
  const auto again = FailsWith(ErrorKind::Io, "planned fault");
  EXPECT_THAT(file_->barrier(), again);
  EXPECT_THAT(file_->write(HostOffset(), bytes_of("abc")), again);
  EXPECT_THAT(file_->zero({HostOffset(), 1_B}, Space::Keep), again);
  EXPECT_THAT(file_->reserve({HostOffset(), 1_B}), again);
  EXPECT_THAT(file_->resize(9_B), again);
  EXPECT_EQ(faulty_->calls(Call::Barrier), 1u);
  EXPECT_EQ(faulty_->changing_calls(), 1u);
}

TEST_F(StickyFile, GoesOnReadingAfterALostBarrier) {
  ASSERT_THAT(file_->write(HostOffset(), bytes_of("abc")), Succeeds());
  lose_a_barrier();
  std::array<std::byte, 3> out{};
  EXPECT_THAT(file_->read(HostOffset(), out), Succeeds());
  EXPECT_EQ(test::text_of(out), "abc");
}

TEST_F(StickyFile, ForgivesAFailedWrite) {
  faulty_->plan({.calls = {Call::Write}, .os_error = ENOSPC});
  EXPECT_THAT(file_->write(HostOffset(), bytes_of("abc")), FailsWith(ErrorKind::NoSpace, ""));
  EXPECT_THAT(file_->write(HostOffset(), bytes_of("abc")), Succeeds());
  EXPECT_THAT(file_->barrier(), Succeeds());
}

TEST_F(StickyFile, ShowsTheDescriptorBehindIt) {
  const test::TempDir directory;
  auto inner = open_host_file(directory.write("file", ""), Access::ReadOnly).value();
  const int fd = descriptor_of(*inner);
  EXPECT_EQ(descriptor_of(*with_sticky_failure(std::move(inner))), fd);
  EXPECT_EQ(descriptor_of(*file_), -1);
}

TEST_F(StickyFile, SharesItsMemoryWithTheOtherFileOfTheImage) {
  const auto memory = new_barrier_memory();
  auto faulty = std::make_unique<FaultyFile>(std::make_unique<test::MemoryFile>());
  faulty->plan({.calls = {Call::Barrier}, .times = FaultyFile::Times::Once, .os_error = EIO});
  const auto tables = with_sticky_failure(std::move(faulty), memory);
  const auto data = with_sticky_failure(std::make_unique<test::MemoryFile>(), memory);
  EXPECT_THAT(data->barrier(), Succeeds());
  EXPECT_THAT(tables->barrier(), FailsWith(ErrorKind::Io, "planned fault"));
  EXPECT_THAT(data->write(HostOffset(), bytes_of("abc")), FailsWith(ErrorKind::Io, "planned fault"));
  EXPECT_THAT(data->barrier(), FailsWith(ErrorKind::Io, "planned fault"));
  EXPECT_EQ(data->size().value(), 0_B);
}

}  // namespace
}  // namespace flatimg
