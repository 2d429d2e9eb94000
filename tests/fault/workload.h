// What a disk is asked to do while calls of its files fail: a fixed sequence of operations, and the first contents.
//
// FLATIMG_SEED chooses another sequence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fault/sector_values.h"
#include "view/disk.h"

namespace flatimg::test {

struct DiskOperation {
  enum class Kind { Write, Release, Keep, Allocate, Flush, Read } kind = Kind::Flush;
  std::size_t first = 0;  // sectors
  std::size_t count = 0;
  std::byte value{0};
  [[nodiscard]] GuestRange range() const { return {GuestOffset(first * kSector), ByteCount(count * kSector)}; }
};

[[nodiscard]] std::uint64_t workload_seed();
/// Every kind at least once.
[[nodiscard]] std::vector<DiskOperation> workload(std::size_t sectors);
/// A value for each sector: runs of equal sectors, a third of them zero.
[[nodiscard]] std::vector<std::byte> some_sectors(std::size_t sectors);
/// Those sectors as bytes.
[[nodiscard]] std::vector<std::byte> bytes_of_sectors(const std::vector<std::byte>& values);

/// Keeps in `values` what was tried and what was acknowledged; what is read is compared with it.
void perform(const DiskOperation& operation, Disk& disk, SectorValues& values);

}  // namespace flatimg::test
