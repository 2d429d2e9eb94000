// What an image says of itself, for `info`. Reads the header and the L1 table of this file; names of other files are
// told, never opened.
#pragma once

#include "base/result.h"
#include "image/report.h"

namespace flatimg {
class HostFile;
}

namespace flatimg::qcow1 {

struct Header;

/// Everything but the file's name and where the backing name leads.
Result<ImageInfo> describe(HostFile& file, const Header& header);

}  // namespace flatimg::qcow1
