#include <gtest/gtest.h>

#include "image/image.h"
#include "support/matchers.h"

namespace flatimg {
namespace {

TEST(Repeated, BeginsWhereItsExtentBegins) {
  constexpr std::uint32_t kWord = 0x64636261;  // "abcd" in memory
  for (const auto& [into, expected] : {std::pair{0u, "abcdabcdab"}, {1u, "bcdabcdabc"}, {6u, "cdabcdabcd"}}) {
    std::vector<std::byte> out(10);
    Repeated::word_from(kWord, ByteCount(into)).fill(out);
    EXPECT_EQ(test::text_of(out), expected);
  }
}

TEST(Repeated, FillsAnyLength) {
  const Repeated repeated = Repeated::word_from(0x64636261, 3_B);
  for (const std::size_t length : {0u, 1u, 3u, 4u, 5u, 63u, 4096u, 100001u}) {
    std::vector<std::byte> out(length);
    repeated.fill(out);
    for (std::size_t at = 0; at < length; ++at) ASSERT_EQ(out[at], repeated.bytes[at % 4]) << at;
  }
}

}  // namespace
}  // namespace flatimg
