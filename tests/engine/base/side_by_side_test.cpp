#include "base/side_by_side.h"

#include <gtest/gtest.h>

#include <barrier>
#include <set>

namespace flatimg {
namespace {

TEST(SideBySide, DoesEachPieceOnce) {
  for (const std::size_t threads : {1u, 2u, 7u}) {
    for (const std::size_t count : {0u, 1u, 6u, 5000u}) {
      std::vector<std::atomic<int>> done(count);
      side_by_side(threads, count, [&](std::size_t, std::size_t n) { ++done[n]; });
      for (std::size_t n = 0; n < count; ++n) ASSERT_EQ(done[n], 1) << n << " of " << count << ", " << threads;
    }
  }
}

TEST(SideBySide, NeverGivesOneNumberToTwoThreads) {
  constexpr std::size_t kThreads = 4;
  std::vector<std::atomic<int>> inside(kThreads);
  std::atomic<bool> met{false};
  side_by_side(kThreads, 10000, [&](std::size_t thread, std::size_t) {
    if (++inside.at(thread) != 1) met = true;
    --inside[thread];
  });
  EXPECT_FALSE(met);
}

TEST(SideBySide, RunsAsManyAtOnceAsItWasTold) {
  constexpr std::size_t kThreads = 3;
  std::barrier all_here(kThreads);  // nobody gets past it alone
  std::vector<std::thread::id> ids(kThreads);
  side_by_side(kThreads, kThreads, [&](std::size_t thread, std::size_t) {
    all_here.arrive_and_wait();
    ids[thread] = std::this_thread::get_id();
  });
  EXPECT_EQ(std::set(ids.begin(), ids.end()).size(), kThreads);
  EXPECT_EQ(ids[0], std::this_thread::get_id());
}

TEST(SideBySide, CountsAtLeastOneProcessor) {
  EXPECT_GE(processors(), 1u);
  EXPECT_LE(processors(), 64u);
}

}  // namespace
}  // namespace flatimg
