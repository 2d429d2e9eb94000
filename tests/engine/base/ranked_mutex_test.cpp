#include "base/ranked_mutex.h"

#include <gtest/gtest.h>

namespace flatimg {
namespace {

TEST(RankedMutex, AllowsRisingRanksAgainAndAgain) {
  Mutex outer(Rank::ImageState);
  Mutex inner(Rank::Table);
  for (int i = 0; i < 2; ++i) {
    const MutexLock first(outer);
    const MutexLock second(inner);
  }
}

#ifndef NDEBUG
TEST(RankedMutexDeathTest, RefusesFallingRanks) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto against_rank = [] {
    Mutex outer(Rank::ImageState);
    Mutex inner(Rank::Table);
    const MutexLock first(inner);
    const MutexLock second(outer);
  };
  EXPECT_DEATH(against_rank(), "against their rank");
}
#endif

}  // namespace
}  // namespace flatimg
