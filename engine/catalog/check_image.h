// The verdict on an image, whatever its format.
#pragma once

#include "catalog/inspect.h"
#include "image/report.h"

namespace flatimg::catalog {

struct CheckedImage {
  std::string format;
  CheckReport report;
};

/// Looks at one file only and changes nothing. Unsupported for formats that hold nothing to check.
Result<CheckedImage> check_image(const InspectRequest& request);

}  // namespace flatimg::catalog
