// Which images of a chain keep their data in holes of their files.
#pragma once

#include "catalog/inspect.h"

namespace flatimg::catalog {

/// For each image of the chain, top first: whether its data clusters have to be looked for in the holes of its file.
Result<std::vector<bool>> preallocated_images(const InspectRequest& request);

}  // namespace flatimg::catalog
