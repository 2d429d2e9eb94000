// Whether opening an image will ask for a passphrase.
#pragma once

#include <optional>
#include <string>

#include "catalog/open.h"

namespace flatimg::catalog {

/// The path of the first encrypted image of the chain that the request would open, or nullopt. Takes no locks and keeps
/// nothing open. What cannot be looked at counts as not encrypted: opening it will say what is wrong.
std::optional<std::string> encrypted_image(const OpenRequest& request);

}  // namespace flatimg::catalog
