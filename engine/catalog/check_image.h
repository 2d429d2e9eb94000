// The verdict on an image, whatever its format, and its repair.
#pragma once

#include "base/progress.h"
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

/// Changes nothing. Looks at one file only; of a composite disk also at its parts, but not at what is behind them.
/// Unsupported for formats that hold nothing to check.
Result<CheckedImage> check_image(const InspectRequest& request, CheckDepth depth, const Progress& progress);

/// The same for one file that is open already. Not for composite disks (check_composite.h).
Result<CheckedImage> check_inspected(const Inspected& image, CheckDepth depth, const Progress& progress);

struct RepairedImage {
  std::string format;
  RepairReport report;
};

/// Repairs the one file, which nobody else may have open meanwhile (Busy). BadUsage when `request` ignores locks. The
/// depth is that of the last look; data that cannot be decoded is told, not repaired.
Result<RepairedImage> repair_image(const InspectRequest& request, RepairScope scope, CheckDepth depth,
                                   const Progress& progress);

}  // namespace flatimg::catalog
