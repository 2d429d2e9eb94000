#include "base/progress.h"

#include <gtest/gtest.h>

#include <vector>

namespace flatimg {
namespace {

TEST(Progress, OfPartsAddsUpToTheWhole) {
  std::vector<double> told;
  const Progress whole = [&](std::uint64_t done, std::uint64_t all) {
    told.push_back(100.0 * static_cast<double>(done) / static_cast<double>(all));
  };
  const Progress first = part_of(whole, 0, 40);
  const Progress second = part_of(whole, 40, 100);
  tell(first, 0, 8);
  tell(first, 4, 8);
  tell(second, 0, 3);
  tell(part_of(second, 50, 100), 1, 1);
  EXPECT_EQ(told, (std::vector<double>{0, 20, 40, 100}));
}

TEST(Progress, NeverExceedsTheWhole) {
  std::uint64_t last = 0;
  tell([&](std::uint64_t done, std::uint64_t) { last = done; }, 9, 8);
  EXPECT_EQ(last, 8u);
}

TEST(Progress, OfNothingIsComplete) {
  double last = 0;
  tell(part_of(
           [&](std::uint64_t done, std::uint64_t all) { last = static_cast<double>(done) / static_cast<double>(all); },
           0, 50),
       0, 0);
  EXPECT_EQ(last, 0.5);
}

TEST(Progress, ThatNobodyWantsIsNotTold) {
  EXPECT_FALSE(part_of({}, 0, 50));
  tell({}, 1, 2);
}

}  // namespace
}  // namespace flatimg
