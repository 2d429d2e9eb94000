#include "host/posix_calls.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "host/posix_file.h"
#include "support/matchers.h"

namespace flatimg {
namespace {

Descriptor memory_descriptor() { return Descriptor(::memfd_create("test", MFD_CLOEXEC)); }

TEST(PosixCalls, WritesZeroesInChunksExactlyWhereAsked) {
  const Descriptor fd = memory_descriptor();
  const std::string before(3 << 20, 'x');
  ASSERT_EQ(::pwrite(fd.get(), before.data(), before.size(), 0), static_cast<ssize_t>(before.size()));
  const HostRange zeroed{HostOffset(4097), ByteCount((2 << 20) + 70001)};
  ASSERT_EQ(posix::write_zeroes(fd.get(), zeroed), 0);

  std::vector<std::byte> after(before.size());
  ASSERT_EQ(posix::read_fully(fd.get(), HostOffset(), after), 0);
  std::string expected = before;
  expected.replace(4097, (2 << 20) + 70001, std::string((2 << 20) + 70001, '\0'));
  EXPECT_TRUE(test::text_of(after) == expected);
}

TEST(PosixCalls, TreatKernelsThatCannotAsAReasonToDoItAnotherWay) {
  for (const int os_error : {EOPNOTSUPP, ENOSYS, ENODEV, ENOTTY, EINVAL})
    EXPECT_TRUE(posix::means_unsupported(os_error));
  for (const int os_error : {0, EIO, ENOSPC, EBADF}) EXPECT_FALSE(posix::means_unsupported(os_error));
}

TEST(PosixCalls, ReportBadDescriptors) {
  std::array<std::byte, 1> byte{};
  EXPECT_EQ(posix::read_fully(-1, HostOffset(), byte), EBADF);
  EXPECT_EQ(posix::sync_data(-1), EBADF);
}

}  // namespace
}  // namespace flatimg
