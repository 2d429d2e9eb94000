#include "host/appended_file.h"

#include <gtest/gtest.h>

#include "support/matchers.h"
#include "support/memory_file.h"

namespace flatimg {
namespace {

using test::noise;
using test::Succeeds;

TEST(AppendedFile, HoldsOneBehindTheOtherWhatWasAppended) {
  test::MemoryFile file;
  AppendedFile appended(file);
  std::vector<std::byte> expected;
  for (const std::size_t length : {10u, 1u << 20, 0u, 3u << 20, 700000u, 700000u, 1u}) {
    const auto bytes = noise(length, length);
    EXPECT_EQ(appended.end(), HostOffset(expected.size()));
    ASSERT_THAT(appended.append(bytes), Succeeds());
    expected.insert(expected.end(), bytes.begin(), bytes.end());
  }
  ASSERT_THAT(appended.finish(), Succeeds());
  EXPECT_EQ(file.contents(), expected);
}

TEST(AppendedFile, ReplacesBytesWhereverTheyAre) {
  test::MemoryFile file;
  AppendedFile appended(file);
  auto expected = noise((2u << 20) + 5000, 1);
  ASSERT_THAT(appended.append(std::span(expected).first(2u << 20)), Succeeds());
  ASSERT_THAT(appended.append(std::span(expected).subspan(2u << 20)), Succeeds());
  const auto other = noise(20, 2);
  // Written already; half written; waiting; the last ones.
  for (const std::size_t at : {0u, (2u << 20) - 10u, (2u << 20) + 100u, (2u << 20) + 4980u}) {
    ASSERT_THAT(appended.overwrite(HostOffset(at), other), Succeeds());
    std::ranges::copy(other, expected.begin() + static_cast<std::ptrdiff_t>(at));
  }
  ASSERT_THAT(appended.finish(), Succeeds());
  EXPECT_EQ(file.contents(), expected);
}

}  // namespace
}  // namespace flatimg
