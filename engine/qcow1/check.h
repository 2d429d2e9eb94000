// The verdict on an image: its tables, and on demand every compressed cluster. Reads only, and looks at no other file.
//
// The format counts nothing, so there are no leaks: space that nothing uses is not known to be lost.
#pragma once

#include "base/progress.h"
#include "base/result.h"
#include "image/report.h"

namespace flatimg {
class HostFile;
}

namespace flatimg::qcow1 {

struct Header;

/// Offsets outside of the file, misaligned, or on each other. What makes an image impossible to open (an L1 table that
/// cannot be one) is an error of kind InvalidImage or CorruptImage.
Result<CheckReport> check(HostFile& file, const Header& header, const Progress& progress = {});

/// The report with a corruption for each compressed cluster that cannot be decoded. Takes all processors.
Result<CheckReport> with_data_checked(HostFile& file, const Header& header, CheckReport report,
                                      const Progress& progress = {});

}  // namespace flatimg::qcow1
