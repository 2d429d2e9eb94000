// What a mount has to open, by what its command line says.
#pragma once

#include <string>
#include <vector>

#include "fuse/landlock.h"
#include "fuse/options.h"

namespace flatimg::flat {

/// The image, what it may name, and what the options name. Paths as they are: relative ones to the current folder.
[[nodiscard]] std::vector<Reachable> files_of_mount(const std::string& source, const MountOptions& options);

}  // namespace flatimg::flat
