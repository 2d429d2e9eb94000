#include "transfer/in_order.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "support/matchers.h"

namespace flatimg::transfer {
namespace {

using test::FailsWith;
using test::Succeeds;

GuestRange piece(std::uint64_t number) { return {GuestOffset(number * 10), ByteCount(10)}; }

TEST(InOrder, TakesEverythingInTheOrderOfTheDiskWhoeverMadeIt) {
  constexpr std::uint64_t kPieces = 2000;
  InOrder in_order(5);
  std::vector<std::uint64_t> taken;  // by one thread at a time
  std::atomic<std::uint64_t> next = 0;
  const auto work = [&](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    for (std::uint64_t number = next++; number < kPieces; number = next++) {
      if (random() % 4 == 0) std::this_thread::yield();
      EXPECT_THAT(in_order.put(piece(number), [&, number] { return taken.push_back(number), Result<void>(); }),
                  Succeeds());
    }
  };
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t seed = 0; seed < 8; ++seed) threads.emplace_back(work, seed);
  }
  ASSERT_EQ(taken.size(), kPieces);
  EXPECT_TRUE(std::ranges::is_sorted(taken));
}

TEST(InOrder, TakesNothingBehindAnError) {
  InOrder in_order(5);
  unsigned taken = 0;
  const auto take = [&] { return ++taken, Result<void>(); };
  EXPECT_THAT(in_order.put(piece(0), take), Succeeds());
  EXPECT_THAT(in_order.put(piece(2), take), Succeeds());
  EXPECT_THAT(in_order.put(piece(1), [] { return Result<void>(fail(ErrorKind::NoSpace, "full")); }),
              FailsWith(ErrorKind::NoSpace, "full"));
  EXPECT_THAT(in_order.put(piece(3), take), FailsWith(ErrorKind::NoSpace, "full"));
  EXPECT_EQ(taken, 1u);
}

TEST(InOrder, LetsThoseGoWhoWaitForWhatNeverComes) {
  InOrder in_order(1);
  const auto take = [] { return Result<void>(); };
  EXPECT_THAT(in_order.put(piece(1), take), Succeeds());
  std::jthread waits([&] { EXPECT_THAT(in_order.put(piece(2), take), Succeeds()); });
  in_order.abandon();
}

}  // namespace
}  // namespace flatimg::transfer
