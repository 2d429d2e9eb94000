#include "composite/gpt.h"

#include <gmock/gmock.h>
#include <zlib.h>

#include "base/endian.h"
#include "support/matchers.h"

namespace flatimg::composite {
namespace {

using test::FailsWith;

constexpr std::size_t kSector = 512;

std::span<const std::byte> bytes(const std::string& text) { return test::bytes_of(text); }
std::uint32_t crc(std::string_view text) {
  return static_cast<std::uint32_t>(
      ::crc32(0, reinterpret_cast<const Bytef*>(text.data()), static_cast<uInt>(text.size())));
}

struct ReadHeader {
  std::uint64_t own, other, first_usable, last_usable, entries;
  std::uint32_t entries_checksum;
  bool sound;
};
ReadHeader header_in(const std::string& area, std::size_t at) {
  const auto where = bytes(area).subspan(at, kSector);
  std::string header = area.substr(at, 92);
  header.replace(16, 4, 4, '\0');
  return {load_le<std::uint64_t>(where, 24),
          load_le<std::uint64_t>(where, 32),
          load_le<std::uint64_t>(where, 40),
          load_le<std::uint64_t>(where, 48),
          load_le<std::uint64_t>(where, 72),
          load_le<std::uint32_t>(where, 88),
          area.substr(at, 8) == "EFI PART" && crc(header) == load_le<std::uint32_t>(where, 16)};
}

constexpr ByteCount kDisk{1 << 20};

GptTables tables(ByteCount size = kDisk) {
  const Partition partition{*partition_name("boot"), random_guid(), {GuestOffset(20480), ByteCount(8192)}};
  return gpt_tables(std::span(&partition, 1), size, random_guid());
}

TEST(Gpt, HasBothHeadersWithTheRightPlaces) {
  const GptTables made = tables();
  ASSERT_EQ(made.beginning.size(), kGptBytes.value());
  ASSERT_EQ(made.end.size(), kGptBytes.value());
  const std::uint64_t last = kDisk.value() / kSector - 1;
  const ReadHeader first = header_in(made.beginning, kSector);
  EXPECT_TRUE(first.sound);
  EXPECT_EQ(first.own, 1u);
  EXPECT_EQ(first.other, last);
  EXPECT_EQ(first.entries, 2u);
  EXPECT_EQ(first.first_usable, 40u);
  EXPECT_EQ(first.last_usable, last - 33);
  const ReadHeader backup = header_in(made.end, made.end.size() - kSector);
  EXPECT_TRUE(backup.sound);
  EXPECT_EQ(backup.own, last);
  EXPECT_EQ(backup.other, 1u);
  EXPECT_EQ(backup.entries, last - 32) << "its own array";
  EXPECT_EQ(backup.entries_checksum, first.entries_checksum);
}

TEST(Gpt, HasTheSameEntriesTwice) {
  const GptTables made = tables();
  const std::string entries = made.beginning.substr(2 * kSector, 16384);
  EXPECT_EQ(crc(entries), header_in(made.beginning, kSector).entries_checksum);
  EXPECT_EQ(made.end.substr(3584, 16384), entries);
  EXPECT_EQ(load_le<std::uint64_t>(bytes(entries), 32), 40u);
  EXPECT_EQ(load_le<std::uint64_t>(bytes(entries), 40), 55u) << "the last sector, not the one behind";
  EXPECT_EQ(entries.substr(56, 8), std::string("b\0o\0o\0t\0", 8));
  EXPECT_EQ(entries.substr(64), std::string(16384 - 64, '\0'));
}

TEST(Gpt, ProtectsTheWholeDiskAboveTwoTebibytesToo) {
  const auto sectors = [](ByteCount size) {
    const GptTables made = tables(size);
    EXPECT_EQ(made.beginning.substr(510, 2), "\x55\xaa");
    EXPECT_EQ(made.beginning[450], '\xee');
    EXPECT_EQ(load_le<std::uint32_t>(bytes(made.beginning), 454), 1u);
    return load_le<std::uint32_t>(bytes(made.beginning), 458);
  };
  EXPECT_EQ(sectors(kDisk), kDisk.value() / kSector - 1);
  const ByteCount two_tebibytes{std::uint64_t{2} << 40};
  EXPECT_EQ(sectors(two_tebibytes), 0xffffffffu);
  EXPECT_EQ(sectors(two_tebibytes - ByteCount(4096)), 0xffffffffu - 8);
  EXPECT_EQ(sectors(two_tebibytes * 4), 0xffffffffu);
}

TEST(Gpt, CutsNamesBetweenCharacters) {
  EXPECT_EQ(*partition_name("b\xc3\xb6\xe2\x82\xac"), u"b\u00f6\u20ac");
  EXPECT_EQ(partition_name(std::string(50, 'x'))->size(), 36u);
  const std::string clef = "\xf0\x9d\x84\x9e";  // two units
  EXPECT_EQ(*partition_name(clef), u"\U0001d11e");
  EXPECT_EQ(partition_name(std::string(35, 'x') + clef)->size(), 35u);
  EXPECT_THAT(partition_name("\xff"), FailsWith(ErrorKind::BadUsage, "UTF-8"));
}

TEST(Guid, IsStoredInMixedOrder) {
  const auto guid = parse_guid("00112233-4455-6677-8899-aabbccddEEFF");
  ASSERT_TRUE(guid.has_value());
  EXPECT_EQ(test::text_of(*guid),
            "\x33\x22\x11" + std::string(1, '\0') + "\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff");
  for (const char* wrong : {"", "writable", "00112233-4455-6677-8899-aabbccddEEF",
                            "00112233-4455-6677-8899-aabbccddEEFFA", "00112233+4455-6677-8899-aabbccddEEFF",
                            "0011223g-4455-6677-8899-aabbccddEEFF", "-0112233-4455-6677-8899-aabbccddEEFF"}) {
    EXPECT_FALSE(parse_guid(wrong).has_value()) << wrong;
  }
}

TEST(Guid, IsRandomOfVersionFour) {
  const Guid one = random_guid();
  EXPECT_NE(one, random_guid());
  EXPECT_EQ(one[7] & std::byte{0xf0}, std::byte{0x40});
  EXPECT_EQ(one[8] & std::byte{0xc0}, std::byte{0x80});
}

}  // namespace
}  // namespace flatimg::composite
