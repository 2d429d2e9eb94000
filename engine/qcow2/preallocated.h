// Does the data of an image lie in holes of its file? Then `map` looks for them; in other images it need not ask the
// host.
#pragma once

#include "base/result.h"

namespace flatimg {
class HostFile;
}

namespace flatimg::qcow2 {

struct Header;

/// True when clearly more clusters are in use than the file has room for on the host. The threshold is QEMU's, so that
/// `map` shows the same.
Result<bool> looks_preallocated(HostFile& file, const Header& header);

}  // namespace flatimg::qcow2
