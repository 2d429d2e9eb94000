// A partition table for a disk of sectors of 512 bytes: protective MBR, GPT and its backup (UEFI specification,
// chapter 5).
//
// The places are those of crosvm's create_composite: 20480 bytes at each end of the disk.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/range.h"
#include "base/result.h"
#include "composite/guid.h"

namespace flatimg::composite {

inline constexpr ByteCount kGptBytes{20480};  // at the beginning of the disk, and at its end
inline constexpr std::size_t kMostPartitions = 128;

struct Partition {
  std::u16string name;  // at most 36 units
  Guid guid{};
  GuestRange where;  // whole sectors
};

/// The name as an entry can hold it: the first 36 units of UTF-16, and no half of a character. BadUsage when it is not
/// UTF-8.
Result<std::u16string> partition_name(std::string_view label);

struct GptTables {
  std::string beginning;  // kGptBytes each
  std::string end;
};

/// Tables for a disk of `size` bytes, a multiple of 4096. At most kMostPartitions partitions, all of them between the
/// tables.
[[nodiscard]] GptTables gpt_tables(std::span<const Partition> partitions, ByteCount size, const Guid& disk);

}  // namespace flatimg::composite
