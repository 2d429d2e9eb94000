// Partition tables with random damage: whatever is told lies on the disk, and telling it ends.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "engine/partitions/disk_with_table.h"
#include "support/from_environment.h"

namespace flatimg::partitions {
namespace {

using test::DiskWithTable;

constexpr std::uint64_t kSize = 1 << 20;

/// A GPT, or an MBR with a chain of logical partitions.
DiskWithTable some_disk(std::mt19937_64& random) {
  DiskWithTable disk(kSize);
  if (random() % 2 == 0) {
    for (unsigned n = 0; n < 8; ++n) disk.gpt_entry({}, n, 64 + n * 64, 127 + n * 64, u"some");
    disk.gpt_header({});
    return disk;
  }
  disk.mbr_entry(0, 0, 0x83, 8, 64);
  disk.mbr_entry(0, 1, 0x05, 100, 1900);
  for (std::uint32_t n = 0; n < 8; ++n) {
    disk.mbr_entry(100 + n * 100, 0, 0x83, 8, 50);
    if (n < 7) disk.mbr_entry(100 + n * 100, 1, 0x05, (n + 1) * 100, 100);
  }
  return disk;
}

/// Some bytes of the first sectors and of the chain; half of the time the sums are right again afterwards.
void damage(DiskWithTable& disk, std::mt19937_64& random) {
  for (std::uint64_t n = random() % 16; n > 0; --n) {
    const std::uint64_t sector = random() % 2 == 0 ? random() % 8 : random() % 2048;
    const std::uint64_t at = random() % 2 == 0 ? 440 + random() % 72 : random() % 512;
    disk.span()[sector * 512 + at] = std::byte(random() % 4 == 0 ? 0xff : random());
  }
  if (random() % 2 == 0 && disk.span()[450] == std::byte{0xee}) disk.sign({});
}

TEST(Rubbish, NeverLeadsOffTheDiskAndAlwaysEnds) {
  const auto seed = test::from_environment("FLATIMG_SEED", 1);
  std::mt19937_64 random(seed);
  for (unsigned round = 0; round < 3000; ++round) {
    DiskWithTable disk = some_disk(random);
    damage(disk, random);
    const Table table = disk.read();
    EXPECT_LE(table.partitions.size(), kMostPartitions);
    std::set<unsigned> numbers;
    for (const Partition& one : table.partitions) {
      EXPECT_FALSE(one.where.empty()) << "seed " << seed << ", round " << round;
      EXPECT_LE(one.where.begin.value(), kSize);
      EXPECT_LE(one.where.length.value(), kSize - one.where.begin.value()) << "seed " << seed << ", round " << round;
      EXPECT_TRUE(one.number >= 1 && one.number <= kMostPartitions && numbers.insert(one.number).second);
    }
  }
}

}  // namespace
}  // namespace flatimg::partitions
