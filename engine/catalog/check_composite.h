// The verdict on a composite disk: its description, that each part is there and long enough, and the verdicts on the
// parts.
#pragma once

#include "catalog/check_image.h"

namespace flatimg::catalog {

/// `whole` is a composite disk. Parts are opened through the gate and locked as the request says. A part that cannot be
/// looked at counts as a place that could not be judged; one that is too short as a corruption.
Result<CheckedImage> check_composite(const Inspected& whole, const InspectRequest& request, CheckDepth depth,
                                     const Progress& progress);

}  // namespace flatimg::catalog
