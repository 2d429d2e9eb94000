// Reading and writing enciphered bytes of a host file, at any offset.
//
// Invariants:
//   1. Plain bytes are never written. What is to be written is copied into a buffer of this thread first, so that the
//      caller's bytes stay as they are.
//   2. Only whole sectors are read and written; those that a write covers in part are read, deciphered and written as
//      a whole, so the caller holds them as Change.
//   3. Memory: one buffer of a megabyte for each thread, kept; larger requests go in pieces.
#pragma once

#include <span>

#include "host/host_file.h"
#include "image/sector_transform.h"

namespace flatimg {

/// Bytes of a host file that are enciphered. `at` may lie within a sector, whose number is cipher.first_sector.
struct EncipheredPlace {
  HostFile* file = nullptr;
  HostOffset at;
  Enciphered cipher;

  [[nodiscard]] ByteCount in_sector() const { return at % ByteCount(SectorTransform::kSector); }
  [[nodiscard]] EncipheredPlace behind(ByteCount bytes) const;
  [[nodiscard]] EncipheredPlace sector_start() const { return {file, at - in_sector(), cipher}; }
};

Result<void> read_enciphered(const EncipheredPlace& place, std::span<std::byte> out);

/// Any bytes at any offset; what is kept in the first and last sector is read first.
Result<void> write_enciphered(const EncipheredPlace& place, std::span<const std::byte> data);

/// Parts one behind the other, whole sectors altogether, from the beginning of a sector: nothing is read.
Result<void> write_whole_sectors(const EncipheredPlace& place, std::span<const std::span<const std::byte>> parts);

}  // namespace flatimg
