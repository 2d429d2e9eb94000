// Kinds of errors as errno.
#include "fuse/reply.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace flatimg::flat {
namespace {

TEST(Reply, NoKindOfErrorBecomesEnosysOrSuccess) {
  for (int kind = 0; kind <= static_cast<int>(ErrorKind::NotFound); ++kind) {
    const int number = errno_of({static_cast<ErrorKind>(kind), ENOSYS, ""});
    EXPECT_NE(number, ENOSYS) << kind;
    EXPECT_GT(number, 0) << kind;
  }
}

TEST(Reply, LackOfSpaceStaysLackOfSpaceBecauseTheKernelKeepsOnlyThatFromAWriteBack) {
  EXPECT_EQ(errno_of({ErrorKind::NoSpace, EFBIG, ""}), ENOSPC);
  EXPECT_EQ(errno_of({ErrorKind::NoSpace, EDQUOT, ""}), EDQUOT);
  EXPECT_EQ(errno_of({ErrorKind::Io, EIO, ""}), EIO);
}

}  // namespace
}  // namespace flatimg::flat
