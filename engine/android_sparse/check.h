// The verdict on an Android sparse image: its chunks (which opening judges as well), and the checksums that it carries,
// in its header or in CRC32 chunks.
//
// Two ways of counting are in use, and either is accepted. By the format, a checksum is that of the expanded disk in
// front of it, don't-care blocks as zeroes. libsparse's own writer counts one block of each fill chunk and nothing for
// don't care. A checksum that fits neither is a corruption.
//
// Reads only, and reads data only when there is a checksum. Time is that of the stored bytes: what a short file claims
// to repeat costs next to nothing.
#pragma once

#include "base/progress.h"
#include "base/result.h"
#include "image/report.h"

namespace flatimg {
class HostFile;
}

namespace flatimg::android_sparse {

struct Header;

/// InvalidImage and Unsupported when the chunks cannot be understood.
Result<CheckReport> check(HostFile& file, const Header& header, const Progress& progress = {});

}  // namespace flatimg::android_sparse
