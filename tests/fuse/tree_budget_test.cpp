// One cache budget for many images.
#include <gtest/gtest.h>

#include <vector>

#include "fuse/tree/budget.h"

namespace flatimg::flat::tree {
namespace {

TEST(TreeBudget, AllSharesTogetherAreNeverMoreThanThereIs) {
  Budget budget(64_MiB);
  ByteCount all;
  std::uint64_t images = 0;
  while (const auto share = budget.take()) {
    EXPECT_GE(share->value(), Budget::kLeastShare);
    all += *share;
    ++images;
  }
  EXPECT_EQ(images, budget.most_images());
  EXPECT_EQ(images, 256u);
  EXPECT_LE(all, 64_MiB);
}

TEST(TreeBudget, TheFirstImageHasMoreThanTheHundredth) {
  Budget budget(64_MiB);
  const auto first = budget.take();
  for (int n = 0; n < 98; ++n) EXPECT_TRUE(budget.take());
  EXPECT_GT(first->value(), 8u << 20);
  EXPECT_LT(budget.take()->value(), 256u << 10);
}

TEST(TreeBudget, WhatIsGivenBackIsThereAgain) {
  Budget budget(1_MiB);
  std::vector<ByteCount> shares;
  while (const auto share = budget.take()) shares.push_back(*share);
  for (const ByteCount share : shares) budget.give_back(share);
  EXPECT_EQ(budget.take(), shares.front());
}

TEST(TreeBudget, EvenTheSmallestBudgetOpensOneImage) {
  Budget budget(0_B);
  EXPECT_TRUE(budget.take());
  EXPECT_FALSE(budget.take());
}

}  // namespace
}  // namespace flatimg::flat::tree
