// What requests do with a disk that is shown as a flat file, whichever mount shows it.
#pragma once

#include <sys/types.h>

#include <optional>
#include <span>

#include "view/disk.h"

namespace flatimg::flat {

/// Whether the size of the disk may change (growable).
enum class Growth { Refused, Allowed };

/// What a new size came with: ftruncate() names its handle; open(O_TRUNC) does not, and truncate() neither.
enum class SizeFrom { Handle, Path };

[[nodiscard]] GuestRange range_at(off_t from, std::uint64_t size);
[[nodiscard]] GuestRange whole(const Disk& disk);

/// Answers of read: one page-aligned buffer for each thread, kept from request to request.
[[nodiscard]] std::span<std::byte> reply_buffer(std::size_t bytes);

/// fallocate in one of the modes that the contract names; Unsupported for others.
Result<void> allocate_or_free(Disk& disk, Growth growth, int mode, GuestRange range);

/// Where SEEK_DATA or SEEK_HOLE leads from inside the disk; nullopt when only holes follow.
Result<std::optional<GuestOffset>> seek(Disk& disk, GuestOffset from, int whence);

/// open(O_TRUNC) is ignored: the answer shows the size as it is, and the kernel takes that. truncate(PATH, 0) looks the
/// same and is therefore ignored as well.
[[nodiscard]] bool is_ignored_truncation(ByteCount size, SizeFrom from);

/// Denied when the disk must not grow or shrink; setting the size that it has succeeds.
Result<void> set_size(Disk& disk, ByteCount size, Growth growth);

}  // namespace flatimg::flat
