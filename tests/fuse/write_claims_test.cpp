// Which parts of a disk may be written at the same time.
#include "fuse/write_claims.h"

#include <gtest/gtest.h>

#include <thread>

#include "support/matchers.h"

namespace flatimg::flat {
namespace {

using test::FailsWith;

WriteClaim part(unsigned number, std::uint64_t begin, std::uint64_t length) {
  return {number, {GuestOffset(begin), ByteCount(length)}};
}
const WriteClaim kWhole;

TEST(WriteClaims, TheWholeDiskKeepsEveryPartOutAndTheReverse) {
  WriteClaims claims;
  ASSERT_TRUE(claims.add(kWhole));
  EXPECT_TRUE(claims.whole_is_written());
  EXPECT_THAT(claims.add(part(1, 0, 10)), FailsWith(ErrorKind::Busy, "is open for writing"));
  claims.remove(kWhole);
  EXPECT_FALSE(claims.whole_is_written());
  ASSERT_TRUE(claims.add(part(1, 0, 10)));
  EXPECT_THAT(claims.add(kWhole), FailsWith(ErrorKind::Busy, "is open for writing"));
  claims.remove(part(1, 0, 10));
  EXPECT_TRUE(claims.add(kWhole));
}

TEST(WriteClaims, TwoPartsAreWrittenAtOnceUnlessTheyOverlap) {
  WriteClaims claims;
  ASSERT_TRUE(claims.add(part(1, 0, 10)));
  EXPECT_TRUE(claims.add(part(2, 10, 10)));
  EXPECT_THAT(claims.add(part(3, 19, 1)), FailsWith(ErrorKind::Busy, "is open for writing"));
  EXPECT_THAT(claims.add(part(1, 5, 10)), FailsWith(ErrorKind::Busy, "is open for writing")) << "the table was changed";
}

TEST(WriteClaims, TheSameFileIsOpenedAsOftenAsAnybodyLikes) {
  WriteClaims claims;
  EXPECT_TRUE(claims.add(part(1, 0, 10)));
  EXPECT_TRUE(claims.add(part(1, 0, 10)));
  claims.remove(part(1, 0, 10));
  EXPECT_THAT(claims.add(kWhole), FailsWith(ErrorKind::Busy, "is open for writing")) << "one of the two is still open";
  claims.remove(part(1, 0, 10));
  EXPECT_TRUE(claims.add(kWhole));
  EXPECT_TRUE(claims.add(kWhole));
}

TEST(WriteClaims, WhoeverIsClosingIsWaitedFor) {
  WriteClaims claims;
  ASSERT_TRUE(claims.add(kWhole));
  std::thread closing([&] { claims.remove(kWhole); });
  EXPECT_TRUE(claims.add(part(1, 0, 10)));
  closing.join();
}

}  // namespace
}  // namespace flatimg::flat
