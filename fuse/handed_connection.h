// A mount that somebody else has made: the connection to the kernel is handed over as a descriptor, and MOUNTPOINT is
// /dev/fd/N, as libfuse has it. So a container that may not mount can serve an image that its manager has mounted.
//
// The mount is a directory (rootmode=40000), its options are those of whoever mounted, and only he can unmount it.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "host/posix_file.h"

namespace flatimg::flat {

/// The descriptor that this mountpoint means; nullopt when it is a place.
[[nodiscard]] std::optional<int> handed_connection(const std::string& mountpoint);

/// BadUsage unless it is an open /dev/fuse.
Result<void> check_handed(int descriptor);

/// Takes it over: it is closed with the result, and by every exec. Errors as check_handed().
Result<Descriptor> take_handed(int descriptor);

}  // namespace flatimg::flat
