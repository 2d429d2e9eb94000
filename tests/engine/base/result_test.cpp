#include "base/result.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

#include "support/matchers.h"

namespace flatimg {
namespace {

using test::FailsWith;

Result<std::unique_ptr<int>> boxed(int value) {
  if (value < 0) return fail(ErrorKind::OutOfRange, "{} is negative", value);
  return std::make_unique<int>(value);
}

Result<int> sum(int a, int b) {
  TRY(const auto first, boxed(a));
  TRY(const auto second, boxed(b));
  return *first + *second;
}

Result<void> check_only(int value) {
  CHECK(boxed(value));
  return {};
}

TEST(Result, PassesValuesAndErrorsOn) {
  EXPECT_EQ(sum(2, 3).value(), 5);
  EXPECT_THAT(sum(2, -3), FailsWith(ErrorKind::OutOfRange, "-3 is negative"));
  EXPECT_THAT(check_only(-1), FailsWith(ErrorKind::OutOfRange, "-1"));
}

TEST(Error, SaysWhatWasDoneInFront) {
  EXPECT_EQ(system_error(ENOSPC, "disk: cannot write").within("flush").text,
            "flush: disk: cannot write: No space left on device");
}

TEST(Error, OfASystemCallHasAKindForDecisions) {
  EXPECT_EQ(system_error(EDQUOT, "").kind, ErrorKind::NoSpace);
  EXPECT_EQ(system_error(EROFS, "").kind, ErrorKind::Denied);
  EXPECT_EQ(system_error(ENOENT, "").kind, ErrorKind::NotFound);
  EXPECT_EQ(system_error(EIO, "").kind, ErrorKind::Io);
}

}  // namespace
}  // namespace flatimg
