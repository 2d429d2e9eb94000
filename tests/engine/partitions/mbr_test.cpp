#include "partitions/mbr.h"

#include <gtest/gtest.h>

#include "engine/partitions/disk_with_table.h"

namespace flatimg::partitions {
namespace {

using test::DiskWithTable;
using test::places;

constexpr std::uint64_t kMiB = 1 << 20;

TEST(Mbr, HasPartitionsWhereItsEntriesSay) {
  DiskWithTable disk(4 * kMiB);
  disk.mbr_entry(0, 0, 0x83, 64, 100, 0x80);
  disk.mbr_entry(0, 2, 0x0c, 1000, 24);
  const Table table = disk.read();
  EXPECT_EQ(table.scheme, Scheme::Mbr);
  EXPECT_EQ(places(table), "1:32768+51200 3:512000+12288");
  EXPECT_EQ(table.partitions[1].type, "0x0c");
  EXPECT_TRUE(table.notes.empty());
}

TEST(Mbr, LogicalPartitionsCountFromFiveInTheOrderOfTheChain) {
  DiskWithTable disk(4 * kMiB);
  disk.mbr_entry(0, 0, 0x83, 16, 16);
  disk.mbr_entry(0, 1, 0x05, 100, 4000);
  disk.mbr_entry(100, 0, 0x83, 8, 50);     // 108
  disk.mbr_entry(100, 1, 0x05, 900, 100);  // the next record: 1000
  disk.mbr_entry(1000, 0, 0x82, 4, 60);    // 1004
  EXPECT_EQ(places(disk.read()), "1:8192+8192 5:55296+25600 6:514048+30720");
}

TEST(Mbr, IsNoneWithoutASignatureOrWithBootFlagsThatCannotBe) {
  DiskWithTable unsigned_disk(kMiB);
  unsigned_disk.mbr_entry(0, 0, 0x83, 8, 8);
  unsigned_disk.span()[511] = std::byte{0};
  EXPECT_EQ(unsigned_disk.read().scheme, Scheme::None);
  DiskWithTable file_system(kMiB);
  file_system.mbr_entry(0, 3, 0x83, 8, 8, 0x20);
  EXPECT_EQ(file_system.read().scheme, Scheme::None);
  EXPECT_EQ(DiskWithTable(511).read().scheme, Scheme::None);
  EXPECT_EQ(DiskWithTable(0).read().scheme, Scheme::None);
}

TEST(Mbr, WhatDoesNotLieOnTheDiskIsCutOrLeftOut) {
  DiskWithTable disk(kMiB);
  disk.mbr_entry(0, 0, 0x83, 2000, 0xffffffff);
  disk.mbr_entry(0, 1, 0x83, 2048, 1);
  disk.mbr_entry(0, 2, 0x83, 0xffffffff, 0xffffffff);
  disk.mbr_entry(0, 3, 0x05, 0xffffffff, 0xffffffff);
  const Table table = disk.read();
  EXPECT_EQ(places(table), "1:1024000+24576");
  EXPECT_EQ(table.notes.size(), 4u);
}

TEST(Mbr, AChainThatLeadsInACircleEnds) {
  DiskWithTable disk(4 * kMiB);
  disk.mbr_entry(0, 0, 0x0f, 100, 4000);
  disk.mbr_entry(100, 0, 0x83, 1, 1);
  disk.mbr_entry(100, 1, 0x05, 10, 10);  // 110
  disk.mbr_entry(110, 0, 0x83, 1, 1);
  disk.mbr_entry(110, 1, 0x05, 0, 10);  // 100 again
  EXPECT_EQ(places(disk.read()), "5:51712+512 6:56832+512");
}

TEST(Mbr, AnExtendedPartitionAtTheFirstSectorLeadsToNoLoop) {
  DiskWithTable disk(kMiB);
  disk.mbr_entry(0, 0, 0x05, 0, 2000);
  disk.mbr_entry(0, 1, 0x83, 8, 8);
  EXPECT_EQ(places(disk.read()), "2:4096+4096 5:4096+4096");
}

TEST(Mbr, AChainWithoutEndIsFollowedForABoundedNumberOfLinks) {
  DiskWithTable disk(4 * kMiB);
  disk.mbr_entry(0, 0, 0x05, 1, 8000);
  for (std::uint32_t n = 0; n < 7000; ++n) {
    disk.mbr_entry(1 + n, 0, 0x83, 1, 1);
    disk.mbr_entry(1 + n, 1, 0x05, n + 1, 1);
  }
  const Table table = disk.read();
  EXPECT_EQ(table.partitions.size(), kMostPartitions - 4);
  EXPECT_EQ(table.partitions.back().number, kMostPartitions);
}

TEST(Mbr, RubbishInTheThirdAndFourthEntryOfALinkDoesNotCount) {
  DiskWithTable disk(4 * kMiB);
  disk.mbr_entry(0, 0, 0x05, 100, 100);
  disk.mbr_entry(100, 0, 0x83, 1, 10);
  disk.mbr_entry(100, 2, 0x83, 50, 4000);
  disk.mbr_entry(100, 3, 0x83, 20, 10);
  EXPECT_EQ(places(disk.read()), "5:51712+5120 6:61440+5120");
}

}  // namespace
}  // namespace flatimg::partitions
