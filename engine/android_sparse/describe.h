// What a sparse image says of itself, for `info`: its shape, its chunks, and what is odd about it but does no harm.
#pragma once

#include "base/result.h"
#include "image/report.h"

namespace flatimg {
class HostFile;
}

namespace flatimg::android_sparse {

struct Header;

/// Everything but the file's name. Walks the chunk headers; InvalidImage and Unsupported as opening the image.
Result<ImageInfo> describe(HostFile& file, const Header& header);

}  // namespace flatimg::android_sparse
