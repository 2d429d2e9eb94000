// What an image says of itself, for `info`. Reads the header, the snapshot table, the bitmap directory and the
// encryption header of this file; names of other files are told, never opened.
#pragma once

#include "base/result.h"
#include "image/report.h"

namespace flatimg {
class HostFile;
}

namespace flatimg::qcow2 {

struct Header;

/// Everything but the file's name and where the backing name leads. A damaged snapshot table or bitmap directory is an
/// error.
Result<ImageInfo> describe(HostFile& file, const Header& header);

/// What the encryption header says (cipher, key slots), in the words of qemu-img.
Result<InfoFields> describe_encryption(HostFile& file, const Header& header);

}  // namespace flatimg::qcow2
