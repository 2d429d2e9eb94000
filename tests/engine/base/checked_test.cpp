#include "base/checked.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "base/aligned_buffer.h"
#include "base/endian.h"

namespace flatimg {
namespace {

TEST(Checked, AnswersNothingInsteadOfWrapping) {
  constexpr std::uint64_t most = ~std::uint64_t{0};
  EXPECT_EQ(checked_add<std::uint64_t>(most - 1, 1), most);
  EXPECT_EQ(checked_add<std::uint64_t>(most, 1), std::nullopt);
  EXPECT_EQ(checked_multiply<std::uint64_t>(most / 2, 2), most - 1);
  EXPECT_EQ(checked_multiply<std::uint64_t>(most / 2 + 1, 2), std::nullopt);
}

TEST(Checked, DividesRoundingUpWithoutWrapping) {
  EXPECT_EQ(ceil_divide<std::uint64_t>(~std::uint64_t{0}, 2), std::uint64_t{1} << 63);
  EXPECT_EQ(ceil_divide<std::uint32_t>(0, 512), 0u);
}

TEST(Endian, StoresTheHighestByteFirst) {
  std::array<std::byte, 6> bytes{};
  store_be<std::uint32_t>(bytes, 1, 0x514649fb);
  EXPECT_EQ(bytes[1], std::byte{0x51});
  EXPECT_EQ(load_be<std::uint32_t>(bytes, 1), 0x514649fbu);
  EXPECT_EQ(load_le<std::uint32_t>(bytes, 1), 0xfb494651u);
}

TEST(AlignedBuffer, IsAlignedAndNeverShrinks) {
  AlignedBuffer buffer;
  const auto small = buffer.at_least(1);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(small.data()) % AlignedBuffer::kAlignment, 0u);
  EXPECT_EQ(buffer.at_least(10000).size(), 10000u);
  EXPECT_GE(buffer.size(), 10000u);
  const std::size_t grown = buffer.size();
  (void)buffer.at_least(1);
  EXPECT_EQ(buffer.size(), grown);
}

}  // namespace
}  // namespace flatimg
