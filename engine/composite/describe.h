// What a composite disk says of itself, for `info`. Its parts are named, never opened.
#pragma once

#include "base/result.h"
#include "host/host_file.h"
#include "image/report.h"

namespace flatimg::composite {

/// Everything but the file's name.
Result<ImageInfo> describe(HostFile& file);

}  // namespace flatimg::composite
