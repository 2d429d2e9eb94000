// GUID partition tables (UEFI specification, chapter 5).
#pragma once

#include "partitions/table.h"

namespace flatimg::partitions {

/// Which of the two headers: in the second sector, or in the last one.
enum class Copy { Primary, Backup };

/// The GPT of a disk with sectors of this size, by that header; Scheme::None when it is not valid.
Result<Table> read_gpt(Disk& disk, ByteCount sector_size, Copy copy);

}  // namespace flatimg::partitions
