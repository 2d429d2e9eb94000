// Classes of times, and the percentiles that are told of them.
#include "fuse/latency.h"

#include <gtest/gtest.h>

#include "fuse/mount_json.h"

namespace flatimg::flat {
namespace {

TEST(Latency, EveryTimeFallsIntoAClassThatEndsShortlyBehindIt) {
  for (std::uint64_t time = 0; time < 3'000'000'000; time = time * 9 / 8 + 1) {
    const std::size_t nth = Latency::class_of(time);
    EXPECT_GT(Latency::end_of(nth), time);
    EXPECT_LE(Latency::end_of(nth), time + time / 4 + 1) << time;
    EXPECT_TRUE(nth == 0 || Latency::end_of(nth - 1) <= time) << time;
  }
  EXPECT_LT(Latency::class_of(~std::uint64_t{0}), Latency::kClasses);
}

TEST(Latency, IsToldAsPercentilesOfWhatWasAnswered) {
  RequestCounters counters;
  for (int n = 0; n < 980; ++n) counters.took(Request::Read, std::chrono::microseconds(10));
  for (int n = 0; n < 20; ++n) counters.took(Request::Read, std::chrono::milliseconds(5));
  const auto latency = requests_json(counters).at("latency");
  EXPECT_NEAR(latency.at("read").at("p50-us").get<double>(), 10, 2.5);
  EXPECT_NEAR(latency.at("read").at("p99-us").get<double>(), 5000, 1250);
  EXPECT_EQ(latency.at("read").at("total-us").get<double>(), 980 * 10 + 20 * 5000);
  EXPECT_FALSE(latency.contains("write"));
}

}  // namespace
}  // namespace flatimg::flat
