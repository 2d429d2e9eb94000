// The verdict on an image, whatever its format, and its repair.
#pragma once

#include "catalog/inspect.h"
#include "image/report.h"

namespace flatimg::catalog {

struct CheckedImage {
  std::string format;
  CheckReport report;
};

enum class CheckDepth {
  Tables,
  Data,  // decodes compressed clusters, too
};

/// Looks at one file only and changes nothing. Unsupported for formats that hold nothing to check.
Result<CheckedImage> check_image(const InspectRequest& request, CheckDepth depth);

struct RepairedImage {
  std::string format;
  RepairReport report;
};

/// Repairs the one file, which nobody else may have open meanwhile (Busy). BadUsage when `request` ignores locks.
Result<RepairedImage> repair_image(const InspectRequest& request, RepairScope scope);

}  // namespace flatimg::catalog
