#include "codec/decoded_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <new>
#include <thread>

#include "support/matchers.h"

namespace flatimg {
namespace {

using test::FailsWith;
using test::Succeeds;

SharedBytes block(std::uint64_t key, std::size_t bytes = 4096) {
  auto result = std::make_shared<AlignedBytes>(bytes);
  std::ranges::fill(result->bytes(), static_cast<std::byte>(key));
  return result;
}

TEST(DecodedCache, DecodesOnceAndAnswersFromMemory) {
  DecodedCache cache(1_MiB);
  int decoded = 0;
  const auto decode = [&]() -> Result<SharedBytes> { return ++decoded, block(7); };
  const SharedBytes first = cache.get_or_decode(7, decode).value();
  EXPECT_EQ(cache.get_or_decode(7, decode).value(), first);
  EXPECT_EQ(decoded, 1);
  EXPECT_EQ(cache.counts().hits, 1u);
  EXPECT_EQ(cache.counts().misses, 1u);
}

TEST(DecodedCache, NeverKeepsMoreThanItsBudget) {
  DecodedCache cache(100_KiB);
  for (std::uint64_t key = 0; key < 1000; ++key) {
    ASSERT_THAT(cache.get_or_decode(key, [&]() -> Result<SharedBytes> { return block(key, 5000); }), Succeeds());
    EXPECT_LE(cache.counts().kept, 100_KiB);
  }
  EXPECT_GE(cache.counts().kept, 90_KiB);
}

TEST(DecodedCache, DropsWhatWasNotUsedForLongest) {
  DecodedCache cache(12_KiB);  // three blocks
  const auto ask = [&](std::uint64_t key) {
    return cache.get_or_decode(key, [&]() -> Result<SharedBytes> { return block(key); }).value();
  };
  ask(1), ask(2), ask(3), ask(1), ask(4);
  const auto misses = cache.counts().misses;
  ask(1), ask(3), ask(4);
  EXPECT_EQ(cache.counts().misses, misses);
  ask(2);
  EXPECT_EQ(cache.counts().misses, misses + 1);
}

TEST(DecodedCache, PassesOnWhatIsLargerThanTheBudgetWithoutKeepingIt) {
  DecodedCache cache(4_KiB);
  EXPECT_EQ(cache.get_or_decode(1, []() -> Result<SharedBytes> { return block(1, 9000); }).value()->size(), 9000u);
  EXPECT_EQ(cache.counts().kept, 0_B);
}

TEST(DecodedCache, KeepsABlockOfTheLargestClusters) {
  DecodedCache cache(64_MiB);
  (void)cache.get_or_decode(1, []() -> Result<SharedBytes> { return block(1, 2 << 20); });
  EXPECT_EQ(cache.counts().kept, 2_MiB);
}

TEST(DecodedCache, ForgetsErrors) {
  DecodedCache cache(1_MiB);
  EXPECT_THAT(cache.get_or_decode(1, []() -> Result<SharedBytes> { return fail(ErrorKind::Io, "unlucky"); }),
              FailsWith(ErrorKind::Io, "unlucky"));
  EXPECT_THAT(cache.get_or_decode(1, []() -> Result<SharedBytes> { return block(1); }), Succeeds());
}

TEST(DecodedCache, TurnsLackOfMemoryIntoAnError) {
  DecodedCache cache(1_MiB);
  EXPECT_THAT(cache.get_or_decode(1, []() -> Result<SharedBytes> { throw std::bad_alloc(); }),
              FailsWith(ErrorKind::NoMemory, "memory"));
  EXPECT_THAT(cache.get_or_decode(1, []() -> Result<SharedBytes> { return block(1); }), Succeeds());
}

// Waits, by looking at the counter, until so many threads wait for a decoding.
void wait_until_joined(const DecodedCache& cache, std::uint64_t count) {
  while (cache.counts().joined < count) std::this_thread::yield();
}

TEST(DecodedCache, DecodesOnceForThreadsThatAskAtTheSameTime) {
  DecodedCache cache(1_MiB);
  std::promise<void> go;
  const auto gone = go.get_future().share();
  std::atomic<int> decoded = 0;
  const auto ask = [&] {
    return cache.get_or_decode(5, [&]() -> Result<SharedBytes> {
      ++decoded;
      gone.wait();
      return block(5);
    });
  };
  std::vector<std::future<Result<SharedBytes>>> answers;
  for (int i = 0; i < 4; ++i) answers.push_back(std::async(std::launch::async, ask));
  wait_until_joined(cache, 3);
  go.set_value();
  for (auto& answer : answers) EXPECT_THAT(answer.get(), Succeeds());
  EXPECT_EQ(decoded, 1);
}

TEST(DecodedCache, PassesAnErrorToThoseWhoWait) {
  DecodedCache cache(1_MiB);
  const auto decode = [&]() -> Result<SharedBytes> {
    wait_until_joined(cache, 1);
    return fail(ErrorKind::CorruptImage, "damaged");
  };
  auto other = std::async(std::launch::async, [&] { return cache.get_or_decode(5, decode); });
  auto mine = cache.get_or_decode(5, decode);
  EXPECT_THAT(mine, FailsWith(ErrorKind::CorruptImage, "damaged"));
  EXPECT_THAT(other.get(), FailsWith(ErrorKind::CorruptImage, "damaged"));
}

TEST(DecodedCache, NeverAnswersAForgottenKeyFromOldBytes) {
  DecodedCache cache(1_MiB);
  (void)cache.get_or_decode(1, []() -> Result<SharedBytes> { return block(1); });
  cache.forget(1);
  EXPECT_EQ(cache.counts().kept, 0_B);
  const SharedBytes fresh = cache.get_or_decode(1, []() -> Result<SharedBytes> { return block(2); }).value();
  EXPECT_EQ(fresh->bytes()[0], std::byte{2});
}

TEST(DecodedCache, DoesNotKeepADecodingThatWasForgottenUnderWay) {
  DecodedCache cache(1_MiB);
  (void)cache.get_or_decode(1, [&]() -> Result<SharedBytes> {
    cache.forget(1);  // what another thread would do
    return block(1);
  });
  EXPECT_EQ(cache.counts().kept, 0_B);
  (void)cache.get_or_decode(1, [&]() -> Result<SharedBytes> {
    cache.forget_all();
    return block(1);
  });
  EXPECT_EQ(cache.counts().kept, 0_B);
}

TEST(DecodedCache, SurvivesManyThreads) {
  DecodedCache cache(64_KiB);
  std::vector<std::future<bool>> workers;
  for (std::uint64_t worker = 0; worker < 4; ++worker) {
    workers.push_back(std::async(std::launch::async, [&cache, worker] {
      bool right = true;
      for (std::uint64_t i = 0; i < 5000; ++i) {
        const std::uint64_t key = (i * 31 + worker * 7) % 40;
        const auto answer = cache.get_or_decode(key, [&]() -> Result<SharedBytes> { return block(key); });
        right = right && answer.value()->bytes()[0] == static_cast<std::byte>(key);
        if (i % 50 == 0) cache.forget(key);
      }
      return right;
    }));
  }
  for (auto& worker : workers) EXPECT_TRUE(worker.get());
}

}  // namespace
}  // namespace flatimg
