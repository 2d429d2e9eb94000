// An image that is never written: all changes go to a qcow2 of the user, which has the image as its backing file.
#pragma once

#include "catalog/open.h"

namespace flatimg::catalog {

/// False for an empty file, too: an overlay can be made there.
Result<bool> overlay_exists(const std::string& path);

/// Makes request.overlay over request.path, where overlay_exists() has said that there is none. The overlay can be
/// read by its owner only; it is encrypted (LUKS, the same passphrase) when something of the image is. Nothing is left
/// behind on failure. Returns what the user should know.
Result<std::vector<std::string>> make_overlay(const OpenRequest& request);

}  // namespace flatimg::catalog
