// Makes a new qcow image in an empty file.
//
// The layout is QEMU's: header, backing name, L1 table; nothing else. With a backing file the clusters are sectors, as
// QEMU's driver copies nothing from there. With Xen's extension it is tapdisk's: the name behind the extension, the L1
// table at the next page, clusters of 4 KiB.
//
// Invariant: the header is written last, behind a barrier: until then the file is not an image.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "base/units.h"

namespace flatimg {
class HostFile;
}

namespace flatimg::qcow1 {

enum class Xen {
  No,
  Sparse,        // clusters are allocated one at a time
  Preallocated,  // the host has space for the whole disk; an L2 table and all of its clusters are allocated together
};

struct CreateOptions {
  ByteCount size;  // of the virtual disk; a multiple of 512, not 0
  std::optional<std::string> backing_name = std::nullopt;
  bool encrypted = false;  // the passphrase leaves no trace in the image
  Xen xen = Xen::No;
};

/// BadUsage for options that contradict each other or the format. Touches nothing.
Result<void> check_options(const CreateOptions& options);

/// Makes the image in `file`, which is empty (or a block device). On an error the file is not an image.
Result<void> create(HostFile& file, const CreateOptions& options);

}  // namespace flatimg::qcow1
