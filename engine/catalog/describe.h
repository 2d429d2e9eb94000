// What images say of themselves, whatever their format.
#pragma once

#include "catalog/inspect.h"
#include "image/report.h"

namespace flatimg::catalog {

/// One image. Names of other files are told, never opened.
Result<ImageInfo> describe_image(const InspectRequest& request);

/// The same for a file that is open already.
Result<ImageInfo> describe_inspected(const Inspected& image);

/// The image and everything behind it, top first. Other files are opened through the gate only.
Result<std::vector<ImageInfo>> describe_chain(const InspectRequest& request);

}  // namespace flatimg::catalog
