// The partition table in the first sector, and the chain of boot records that extended partitions are.
#pragma once

#include <array>
#include <optional>

#include "partitions/table.h"

namespace flatimg::partitions {

inline constexpr ByteCount kMbrSize{512};

/// One of the four entries of a record. Positions count sectors, relative to what the entry stands in.
struct MbrEntry {
  std::uint8_t boot = 0;  // 0 or 0x80
  std::uint8_t type = 0;
  std::uint32_t first = 0;
  std::uint32_t count = 0;

  [[nodiscard]] bool is_used() const { return count != 0 && type != 0; }
  [[nodiscard]] bool is_extended() const { return type == 0x05 || type == 0x0f || type == 0x85; }
};
using MbrEntries = std::array<MbrEntry, 4>;

/// The entries of a record; nullopt when the sector has no signature.
[[nodiscard]] std::optional<MbrEntries> parse_record(std::span<const std::byte> sector);
/// The same for the first sector of a disk; nullopt also when that is no table but, say, a file system.
[[nodiscard]] std::optional<MbrEntries> parse_mbr(std::span<const std::byte> sector);

/// Whether the entries say that there is a GPT.
[[nodiscard]] bool is_protective(const MbrEntries& entries);

/// The partitions that the entries of the first sector lead to.
Result<Table> read_mbr(Disk& disk, const MbrEntries& entries);

}  // namespace flatimg::partitions
