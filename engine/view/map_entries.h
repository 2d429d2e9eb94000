// Where the bytes of a disk are, in the terms of `qemu-img map`.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "view/disk.h"

namespace flatimg {

/// A range of the disk about which the same is true.
struct MapEntry {
  GuestRange where;
  unsigned depth = 0;    // 0: the image itself, 1: the one behind it ...
  bool present = false;  // an image of the chain says something about it
  bool zero = false;     // reads as zeroes
  bool data = false;     // is stored somewhere
  bool compressed = false;
  std::optional<HostOffset> offset = {};  // where in a file, when it lies there as it is
};

/// Walks the disk and calls `visit` for every entry in order; neighbours that continue one another are one entry.
/// `look_for_holes[depth]`: data of that image is looked up in the holes of its file (catalog/preallocated.h).
Result<void> walk_map(Disk& disk, const std::vector<bool>& look_for_holes,
                      const std::function<void(const MapEntry&)>& visit);

}  // namespace flatimg
