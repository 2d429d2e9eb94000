// map.json: where the bytes of a disk are.
#pragma once

#include <string>

#include "view/disk.h"

namespace flatimg::flat {

/// An entry a line, as `qemu-img map --output=json` has it. Limit when there are more entries than are kept in memory:
/// `flatimg map` tells them one after the other.
Result<std::string> map_as_json(Disk& disk);

}  // namespace flatimg::flat
