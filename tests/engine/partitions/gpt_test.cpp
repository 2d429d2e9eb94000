#include "partitions/gpt.h"

#include <gtest/gtest.h>

#include "engine/partitions/disk_with_table.h"
#include "partitions/label.h"

namespace flatimg::partitions {
namespace {

using test::DiskWithTable;
using test::places;

constexpr std::uint64_t kMiB = 1 << 20;
const DiskWithTable::Gpt kPrimary;

/// The backup at the end of a disk.
DiskWithTable::Gpt backup_of(const DiskWithTable& disk) {
  DiskWithTable::Gpt backup;
  backup.header = disk.last_sector();
  backup.entries = disk.last_sector() - 32;
  return backup;
}

/// One partition, in sectors 64 to 127, by both headers.
DiskWithTable good_disk() {
  DiskWithTable disk(kMiB);
  for (const auto& gpt : {kPrimary, backup_of(disk)}) {
    disk.gpt_entry(gpt, 1, 64, 127, u"root");
    disk.gpt_header(gpt);
  }
  return disk;
}

std::span<std::byte> header_of(DiskWithTable& disk) { return disk.span().subspan(512, 512); }

TEST(Gpt, HasThePartitionsOfItsEntriesWithTypeAndName) {
  const Table table = good_disk().read();
  EXPECT_EQ(table.scheme, Scheme::Gpt);
  EXPECT_EQ(places(table), "2:32768+32768");
  EXPECT_EQ(table.partitions[0].label, "root");
  EXPECT_EQ(table.partitions[0].type, "04030201-0605-0807-090a-0b0c0d0e0f10");
  EXPECT_EQ(table.partitions[0].guid, "14131211-1615-1817-191a-1b1c1d1e1f20");
  EXPECT_TRUE(table.notes.empty());
}

TEST(Gpt, IsFoundOnSectorsOf4096Bytes) {
  DiskWithTable disk(kMiB, 4096);
  disk.gpt_entry(kPrimary, 0, 10, 19, u"x");
  disk.gpt_header(kPrimary);
  const Table table = disk.read();
  EXPECT_EQ(table.sector_size, 4096_B);
  EXPECT_EQ(places(table), "1:40960+40960");
}

/// Each of these alone makes the header at the front wrong.
TEST(Gpt, ADamagedHeaderIsReplacedByTheBackup) {
  const std::vector<std::pair<const char*, std::function<void(DiskWithTable&)>>> damages{
      {"signature", [](DiskWithTable& disk) { header_of(disk)[0] = std::byte{'X'}; }},
      {"sum", [](DiskWithTable& disk) { header_of(disk)[16] ^= std::byte{1}; }},
      {"a byte", [](DiskWithTable& disk) { header_of(disk)[60] ^= std::byte{1}; }},
      {"place", [](DiskWithTable& disk) { store_le(header_of(disk), 24, std::uint64_t{2}), disk.sign(kPrimary); }},
      {"an entry", [](DiskWithTable& disk) { disk.span()[1024 + 130] ^= std::byte{1}; }},
      {"entry size", [](DiskWithTable& disk) { store_le(header_of(disk), 84, 127u), disk.sign(kPrimary); }},
      {"no entries", [](DiskWithTable& disk) { store_le(header_of(disk), 80, 0u), disk.sign(kPrimary); }},
      {"their place", [](DiskWithTable& disk) { store_le(header_of(disk), 72, ~0ull), disk.sign(kPrimary); }},
  };
  for (const auto& [name, damage] : damages) {
    DiskWithTable disk = good_disk();
    damage(disk);
    const Table table = disk.read();
    EXPECT_EQ(places(table), "2:32768+32768") << name;
    ASSERT_EQ(table.notes.size(), 1u) << name;
    EXPECT_NE(table.notes[0].find("backup"), std::string::npos) << name;
  }
}

TEST(Gpt, WithoutAnyValidHeaderThereAreNoPartitions) {
  DiskWithTable disk = good_disk();
  header_of(disk)[16] ^= std::byte{1};
  disk.span()[disk.last_sector() * 512] = std::byte{0};
  const Table table = disk.read();
  EXPECT_EQ(table.scheme, Scheme::None);
  EXPECT_TRUE(table.partitions.empty());
  EXPECT_EQ(table.notes.size(), 1u);
}

TEST(Gpt, WithoutAProtectiveMbrIsNone) {
  DiskWithTable disk = good_disk();
  disk.span()[450] = std::byte{0};
  EXPECT_EQ(places(disk.read()), "");
}

TEST(Gpt, EntriesThatDoNotLieOnTheDiskAreLeftOut) {
  DiskWithTable disk(kMiB);
  disk.gpt_entry(kPrimary, 0, 64, 2048, u"beyond");
  disk.gpt_entry(kPrimary, 1, 100, 99, u"backwards");
  disk.gpt_entry(kPrimary, 2, 1ull << 62, (1ull << 62) + 8, u"far");
  disk.gpt_entry(kPrimary, 3, 0, ~0ull, u"all");
  disk.gpt_entry(kPrimary, 4, 64, 2047, u"fits");
  disk.gpt_header(kPrimary);
  const Table table = disk.read();
  EXPECT_EQ(places(table), "5:32768+1015808");
  EXPECT_EQ(table.notes.size(), 4u);
}

TEST(Gpt, NumbersThatWouldTakeMemoryWithoutEndAreNone) {
  for (const auto& [count, size] :
       {std::pair{0xffffffffu, 128u}, {0x80000000u, 0x80000000u}, {1u, 0x80000000u}, {8193u, 128u}, {128u, 0u}}) {
    DiskWithTable disk(8 * kMiB);
    DiskWithTable::Gpt gpt = kPrimary;
    gpt.count = count;
    gpt.entry_size = size;
    disk.gpt_header(gpt);
    EXPECT_EQ(disk.read().scheme, Scheme::None) << count << " of " << size;
  }
}

TEST(Gpt, MoreThanLinuxNumbersAreNotTold) {
  DiskWithTable disk(8 * kMiB);
  DiskWithTable::Gpt gpt = kPrimary;
  gpt.count = 1024;
  for (unsigned n = 0; n < gpt.count; ++n) disk.gpt_entry(gpt, n, 1000, 1001, u"");
  disk.gpt_header(gpt);
  EXPECT_EQ(disk.read().partitions.size(), kMostPartitions);
}

TEST(Gpt, ADiskTooSmallForOneIsNone) {
  for (const std::uint64_t size : {512u, 1024u, 1535u, 1536u}) {
    DiskWithTable disk(size);
    disk.mbr_entry(0, 0, 0xee, 1, 1);
    EXPECT_EQ(disk.read().scheme, Scheme::None) << size;
  }
}

TEST(Label, IsUtf8WhateverTheImageSays) {
  const auto label = [](const std::u16string& text) {
    return label_from_utf16(std::as_bytes(std::span(text.data(), text.size())));
  };
  EXPECT_EQ(label(u"Gr\u00fc\u00df \u20ac \U0001F600"), "Gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
  EXPECT_EQ(label(std::u16string{u'a', 0xd800, u'b', 0xdc00}),
            "a\xef\xbf\xbd"
            "b\xef\xbf\xbd");
  EXPECT_EQ(label(std::u16string(u"ab\0cd", 5)), "ab");
}

TEST(Label, IsPartOfANameOnlyWhenItIsPlain) {
  EXPECT_TRUE(is_plain("EFI-System_1.0+"));
  for (const char* label : {"", "a b", "../x", "a/b", "\x1b[31m", "gr\xc3\xbc", "a\nb"}) {
    EXPECT_FALSE(is_plain(label)) << label;
  }
}

}  // namespace
}  // namespace flatimg::partitions
