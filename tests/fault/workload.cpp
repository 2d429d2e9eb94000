#include "fault/workload.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>

#include "support/from_environment.h"

namespace flatimg::test {

namespace {

void read_and_compare(const DiskOperation& operation, Disk& disk, const SectorValues& values) {
  std::vector<std::byte> bytes(operation.count * kSector);
  if (!disk.read(operation.range().begin, bytes)) return;
  EXPECT_EQ(values.wrong_now(operation.first, bytes).value_or(""), "");
}

}  // namespace

std::uint64_t workload_seed() { return from_environment("FLATIMG_SEED", 4711); }

std::vector<DiskOperation> workload(std::size_t sectors) {
  using Kind = DiskOperation::Kind;
  std::array kinds{Kind::Write, Kind::Write, Kind::Write, Kind::Write,    Kind::Release,
                   Kind::Keep,  Kind::Flush, Kind::Read,  Kind::Allocate, Kind::Flush};
  std::mt19937_64 random(workload_seed());
  std::ranges::shuffle(kinds, random);
  std::vector<DiskOperation> operations;
  for (std::size_t n = 0; n < 30; ++n) {
    DiskOperation operation{kinds[(n < kinds.size() ? n : random()) % kinds.size()], random() % sectors};
    const std::size_t most = random() % 3 == 0 ? sectors / 3 : sectors / 40;
    operation.count = 1 + random() % most;
    operation.count = std::min(operation.count, sectors - operation.first);
    if (operation.kind == Kind::Write) operation.value = static_cast<std::byte>(1 + random() % 255);
    operations.push_back(operation);
  }
  return operations;
}

std::vector<std::byte> some_sectors(std::size_t sectors) {
  std::mt19937_64 random(workload_seed() + 1);
  std::vector<std::byte> values(sectors);
  for (std::size_t n = 0; n < values.size();) {
    const auto value = static_cast<std::byte>(random() % 3 == 0 ? 0 : random());
    for (std::size_t run = 1 + random() % (values.size() / 4); run > 0 && n < values.size(); --run) values[n++] = value;
  }
  return values;
}

std::vector<std::byte> bytes_of_sectors(const std::vector<std::byte>& values) {
  std::vector<std::byte> bytes;
  bytes.reserve(values.size() * kSector);
  for (const std::byte value : values) bytes.insert(bytes.end(), kSector, value);
  return bytes;
}

void perform(const DiskOperation& operation, Disk& disk, SectorValues& values) {
  using Kind = DiskOperation::Kind;
  const auto changed = [&](const Result<void>& result) {
    values.tried(operation.first, operation.count, operation.value, result.has_value());
  };
  switch (operation.kind) {
    case Kind::Write:
      changed(disk.write(operation.range().begin, std::vector(operation.count * kSector, operation.value)));
      break;
    case Kind::Release:
      changed(disk.zero(operation.range(), Space::Release));
      break;
    case Kind::Keep:
      changed(disk.zero(operation.range(), Space::Keep));
      break;
    case Kind::Allocate:
      (void)disk.allocate(operation.range());
      break;
    case Kind::Flush:
      if (disk.flush()) values.flushed();
      break;
    case Kind::Read:
      read_and_compare(operation, disk, values);
  }
}

}  // namespace flatimg::test
