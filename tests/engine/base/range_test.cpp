#include "base/range.h"

#include <gtest/gtest.h>

namespace flatimg {
namespace {

HostRange range(std::uint64_t begin, std::uint64_t length) { return {HostOffset(begin), ByteCount(length)}; }

TEST(Range, ContainsItsBeginAndNotItsEnd) {
  EXPECT_TRUE(range(10, 5).contains(HostOffset(10)));
  EXPECT_TRUE(range(10, 5).contains(HostOffset(14)));
  EXPECT_FALSE(range(10, 5).contains(HostOffset(15)));
}

TEST(Range, DoesNotOverlapItsNeighbour) {
  EXPECT_FALSE(range(0, 10).overlaps(range(10, 10)));
  EXPECT_TRUE(range(0, 11).overlaps(range(10, 10)));
}

TEST(Range, WidensToWholeUnits) {
  EXPECT_EQ(range(513, 1).widened_to(512_B), range(512, 512));
  EXPECT_EQ(range(511, 2).widened_to(512_B), range(0, 1024));
  EXPECT_EQ(range(512, 512).widened_to(512_B), range(512, 512));
}

TEST(Range, IntersectsToTheCommonPart) {
  EXPECT_EQ(intersection(range(0, 10), range(5, 10)), range(5, 5));
  EXPECT_TRUE(intersection(range(0, 5), range(7, 5)).empty());
}

TEST(Range, SplitsIntoFirstAndRest) {
  EXPECT_EQ(range(5, 10).first(4_B), range(5, 4));
  EXPECT_EQ(range(5, 10).without_first(4_B), range(9, 6));
  EXPECT_TRUE(range(5, 10).without_first(40_B).empty());
}

}  // namespace
}  // namespace flatimg
