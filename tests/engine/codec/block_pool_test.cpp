#include "codec/block_pool.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace flatimg {
namespace {

const std::byte* place_of(const std::shared_ptr<AlignedBytes>& block) { return block->bytes().data(); }

TEST(BlockPool, UsesTheMemoryOfABlockAgain) {
  BlockPool pool(1_MiB);
  auto first = pool.block(128 * 1024);
  const std::byte* const place = place_of(first);
  first.reset();
  const auto second = pool.block(128 * 1024);
  EXPECT_EQ(place_of(second), place);
  EXPECT_EQ(second->size(), 128u * 1024);
}

TEST(BlockPool, NeverGivesTheSameMemoryTwice) {
  BlockPool pool(1_MiB);
  const auto first = pool.block(64 * 1024);
  const auto second = pool.block(64 * 1024);
  EXPECT_NE(place_of(first), place_of(second));
}

TEST(BlockPool, DoesNotWasteMuchOfALargeBlockOnASmallOne) {
  BlockPool pool(1_MiB);
  auto large = pool.block(512 * 1024);
  const std::byte* const place = place_of(large);
  large.reset();
  EXPECT_NE(place_of(pool.block(4096)), place);
  EXPECT_EQ(place_of(pool.block(300 * 1024)), place);
}

TEST(BlockPool, KeepsNothingBeyondItsLimit) {
  BlockPool pool(256_KiB);
  std::vector<std::shared_ptr<AlignedBytes>> blocks;
  for (int i = 0; i < 8; ++i) blocks.push_back(pool.block(64 * 1024));
  blocks[0].reset();  // freed: there are too many of them
  auto held = pool.block(64 * 1024);
  blocks.clear();
  held.reset();
  EXPECT_EQ(pool.idle(), 256_KiB);
  (void)pool.block(200 * 1024);  // fits into none: those that wait make room for it
  EXPECT_LE(pool.idle(), 256_KiB);
}

TEST(BlockPool, MayEndBeforeItsBlocks) {
  auto pool = std::make_unique<BlockPool>(1_MiB);
  const auto block = pool->block(4096);
  pool.reset();
  block->bytes()[4095] = std::byte{1};
}

TEST(BlockPool, ServesThreads) {
  BlockPool pool(256_KiB);
  std::vector<std::thread> threads;
  for (unsigned n = 0; n < 4; ++n) {
    threads.emplace_back([&pool, n] {
      for (std::size_t i = 0; i < 2000; ++i) {
        const auto block = pool.block(4096 << (i + n) % 5);
        std::ranges::fill(block->bytes(), std::byte(n));
        for (const std::byte b : std::as_const(*block).bytes()) ASSERT_EQ(b, std::byte(n));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_LE(pool.idle(), 256_KiB);
}

}  // namespace
}  // namespace flatimg
