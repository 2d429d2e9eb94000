#include "codec/decode_ahead.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <set>

namespace flatimg {
namespace {

/// Remembers what was decoded ahead.
class Decoded {
 public:
  void add(std::uint64_t block) {
    const std::lock_guard lock(mutex_);
    blocks_.insert(block);
    changed_.notify_all();
  }
  /// Waits until these were decoded; which ones were in all.
  std::set<std::uint64_t> once_there(const std::set<std::uint64_t>& expected) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(10),
                      [&] { return std::includes(blocks_.begin(), blocks_.end(), expected.begin(), expected.end()); });
    return blocks_;
  }
  /// Without waiting: for what must not come.
  std::set<std::uint64_t> now() { return once_there({}); }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::uint64_t> blocks_;
};

using Blocks = std::set<std::uint64_t>;

TEST(DecodeAhead, FollowsAReaderFromTheBlockAfterTheNextOne) {
  Decoded decoded;
  DecodeAhead ahead(100, 4, [&](std::uint64_t block) { decoded.add(block); });
  ahead.wanted(10);
  ahead.wanted(11);
  EXPECT_EQ(decoded.once_there({13, 14, 15}), (Blocks{13, 14, 15}));
  ahead.wanted(12);
  EXPECT_EQ(decoded.once_there({16}), (Blocks{13, 14, 15, 16}));
}

TEST(DecodeAhead, DecodesTheNextBlockTooWhenTheReaderStays) {
  Decoded decoded;
  DecodeAhead ahead(100, 2, [&](std::uint64_t block) { decoded.add(block); });
  for (const std::uint64_t block : {10u, 10u, 11u, 11u, 11u}) ahead.wanted(block);
  EXPECT_EQ(decoded.once_there({12, 13}), (Blocks{12, 13}));
}

TEST(DecodeAhead, FollowsReadersThatAlternate) {
  Decoded decoded;
  DecodeAhead ahead(1000, 2, [&](std::uint64_t block) { decoded.add(block); });
  for (const std::uint64_t block : {10u, 500u, 11u}) ahead.wanted(block);
  decoded.once_there({13});
  ahead.wanted(501);
  EXPECT_EQ(decoded.once_there({503}), (Blocks{13, 503}));
}

TEST(DecodeAhead, DoesNotFollowWhoReadsHereAndThere) {
  Decoded decoded;
  {
    DecodeAhead ahead(1000, 4, [&](std::uint64_t block) { decoded.add(block); });
    for (std::uint64_t n = 0; n < 500; ++n) {
      ahead.wanted(n * 389 % 1000);
      ahead.wanted(n * 389 % 1000);
    }
  }
  EXPECT_EQ(decoded.now(), Blocks{});
}

TEST(DecodeAhead, EndsWithTheLastBlock) {
  Decoded decoded;
  {
    DecodeAhead ahead(14, 8, [&](std::uint64_t block) { decoded.add(block); });
    ahead.wanted(9);
    ahead.wanted(10);
    decoded.once_there({12, 13});
    for (std::uint64_t block = 11; block < 14; ++block) ahead.wanted(block);
  }
  EXPECT_EQ(decoded.now(), (Blocks{12, 13}));
}

TEST(DecodeAhead, DoesNothingWithoutRoom) {
  Decoded decoded;
  {
    DecodeAhead ahead(100, 0, [&](std::uint64_t block) { decoded.add(block); });
    for (std::uint64_t block = 0; block < 100; ++block) ahead.wanted(block);
  }
  EXPECT_EQ(decoded.now(), Blocks{});
}

}  // namespace
}  // namespace flatimg
