// Makes a new raw image.
#pragma once

#include "host/host_file.h"

namespace flatimg::raw {

enum class Reserve {
  Nothing,  // a hole
  Space,    // the host has room for all of it
  Written,  // and it is written, as zeroes
};

/// Gives an empty file (or a block device) the size of the disk, which reads as zeroes. A device must be large enough;
/// what it holds stays.
Result<void> create(HostFile& file, ByteCount size, Reserve reserve);

}  // namespace flatimg::raw
