// Reading a disk that may be shorter than what it is compared with, or not there at all: zeroes follow its end.
#pragma once

#include <algorithm>
#include <cstring>

#include "view/disk.h"

namespace flatimg::transfer {

/// Any thread. nullptr is a disk of no bytes.
inline Result<void> whole_read(Disk* disk, GuestOffset at, std::span<std::byte> out) {
  const std::uint64_t size = disk == nullptr ? 0 : disk->size().value();
  const std::uint64_t there = at.value() >= size ? 0 : std::min<std::uint64_t>(out.size(), size - at.value());
  if (there > 0) CHECK(disk->read(at, out.first(there)));
  std::memset(out.data() + there, 0, out.size() - there);
  return {};
}

/// The first byte of data from `from` on, in either disk.
inline Result<std::optional<GuestOffset>> next_data_in_either(Disk* a, Disk* b, GuestOffset from) {
  std::optional<GuestOffset> first;
  for (Disk* disk : {a, b}) {
    if (disk == nullptr || from.value() >= disk->size().value()) continue;
    TRY(const auto found, disk->next_data(from));
    if (found && (!first || *found < *first)) first = found;
  }
  return first;
}

}  // namespace flatimg::transfer
