#include "partitions/table.h"

#include <array>

#include "partitions/gpt.h"
#include "partitions/mbr.h"

namespace flatimg::partitions {

namespace {

constexpr std::array kSectorSizes{512_B, 4096_B};

Result<Table> first_valid(Disk& disk, Copy copy) {
  for (const ByteCount sector_size : kSectorSizes) {
    TRY(Table table, read_gpt(disk, sector_size, copy));
    if (table.scheme == Scheme::Gpt) return table;
  }
  return Table();
}

Result<Table> read_gpt_table(Disk& disk) {
  TRY(Table table, first_valid(disk, Copy::Primary));
  if (table.scheme == Scheme::Gpt) return table;
  TRY(table, first_valid(disk, Copy::Backup));
  const bool found = table.scheme == Scheme::Gpt;
  table.notes.insert(table.notes.begin(), found ? "the GUID partition table is damaged: its backup was taken"
                                                : "the GUID partition table is damaged, and so is its backup");
  return table;
}

}  // namespace

Result<Table> read_table(Disk& disk) {
  if (disk.size() < kMbrSize) return Table();
  std::array<std::byte, kMbrSize.value()> first{};
  CHECK(disk.read(GuestOffset(0), first));
  const auto entries = parse_mbr(first);
  if (!entries) return Table();
  if (is_protective(*entries)) return read_gpt_table(disk);
  return read_mbr(disk, *entries);
}

std::string_view name_of(Scheme scheme) {
  constexpr std::array<std::string_view, 3> kNames{"none", "mbr", "gpt"};
  return kNames[static_cast<std::size_t>(scheme)];
}

}  // namespace flatimg::partitions
