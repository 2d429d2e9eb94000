// What a listing wants to know of a file: whether it is an image, and how large its disk is.
//
// Reads the header only (of a zstd file: its seek table), opens no other file, takes no lock and writes nothing.
#pragma once

#include <optional>
#include <string>

#include "host/host_file.h"

namespace flatimg::catalog {

struct Glance {
  std::string format;
  ByteCount virtual_size;
};

/// nullopt for what is no image without being told: raw disks and everything else that has no header of its own, and
/// zstd files without a seek table, which were made to be unpacked. An error for a file that begins like an image and
/// cannot be one.
Result<std::optional<Glance>> glance(HostFile& file);

}  // namespace flatimg::catalog
