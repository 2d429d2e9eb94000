#include "codec/xxh64.h"

#include <gtest/gtest.h>

#include "support/matchers.h"

namespace flatimg {
namespace {

TEST(Xxh64, IsTheLowHalfOfTheOneThatEverybodyComputes) {
  EXPECT_EQ(xxh64_low({}), 0x51d8e999u);
  EXPECT_EQ(xxh64_low(test::bytes_of("abc")), 0xad770999u);
}

}  // namespace
}  // namespace flatimg
