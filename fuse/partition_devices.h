// Partitions of a loop device as devices of their own.
#pragma once

#include <string>

#include "base/result.h"

namespace flatimg::flat {

/// Where the kernel has found no partitions on a device that was to be scanned (it may have been built without the
/// kind of table): those that we find, by a confined child, are added. The device has to permit partitions.
Result<void> add_missing_partitions(const std::string& device);

}  // namespace flatimg::flat
