// A look at an image before it is mounted, by a process that ends with the answer: what it reads cannot harm the one
// that asked.
#pragma once

#include <optional>
#include <string>

#include "catalog/open.h"
#include "fuse/options.h"

namespace flatimg::flat {

/// What the catalog is asked for when this is mounted.
[[nodiscard]] catalog::OpenRequest open_request(const std::string& source, const MountOptions& options);

/// The image that takes a passphrase, if one of the chain does. nullopt also when that cannot be told: mounting says
/// why.
[[nodiscard]] std::optional<std::string> find_encrypted(const std::string& source, const MountOptions& options);

}  // namespace flatimg::flat
