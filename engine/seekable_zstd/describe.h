// What a zstd file says of itself, for `info`: its frames, and where it is known from how long they are.
#pragma once

#include "base/result.h"
#include "image/report.h"

namespace flatimg {
class HostFile;
}

namespace flatimg::seekable_zstd {

/// Everything but the file's name. Takes as long as opening the image, and fails when that would.
Result<ImageInfo> describe(HostFile& file, ByteCount most);

}  // namespace flatimg::seekable_zstd
