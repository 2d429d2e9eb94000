#include "codec/crc32.h"

#include <gtest/gtest.h>

#include "support/matchers.h"

namespace flatimg {
namespace {

using test::bytes_of;

TEST(Crc32, IsThatOfZlib) {
  Crc32 sum;
  sum.add(bytes_of("1234"));
  sum.add(bytes_of("56789"));
  EXPECT_EQ(sum.value(), 0xCBF43926u);
}

TEST(Crc32, OfARepeatedWordIsThatOfItsBytes) {
  const std::string words = [] {
    std::string text;
    while (text.size() < 300'000) text += "abcd";
    return text;
  }();
  for (const std::size_t length : {0u, 4u, 8u, 4096u, 65532u, 65536u, 65540u, 131072u, 262144u, 299'996u}) {
    Crc32 literally;
    literally.add(bytes_of("before"));
    literally.add(bytes_of(words).first(length));
    Crc32 repeated;
    repeated.add(bytes_of("before"));
    repeated.add_repeated(0x64636261, ByteCount(length));
    EXPECT_EQ(repeated.value(), literally.value()) << length;
  }
}

TEST(Crc32, OfPartsIsThatOfTheWhole) {
  const auto bytes = test::noise(100000, 5);
  Crc32 whole;
  whole.add(bytes);
  for (const std::size_t border : {0u, 1u, 65536u, 99999u, 100000u}) {
    Crc32 first;
    first.add(std::span(bytes).first(border));
    Crc32 second;
    second.add(std::span(bytes).subspan(border));
    first.add(second, ByteCount(bytes.size() - border));
    EXPECT_EQ(first.value(), whole.value()) << border;
  }
}

TEST(Crc32, OfTebibytesTakesNoTime) {
  Crc32 once;
  once.add_repeated(7, ByteCount(std::uint64_t{16} << 40));
  Crc32 twice;
  twice.add_repeated(7, ByteCount(std::uint64_t{8} << 40));
  twice.add_repeated(7, ByteCount(std::uint64_t{8} << 40));
  EXPECT_EQ(once.value(), twice.value());
}

}  // namespace
}  // namespace flatimg
