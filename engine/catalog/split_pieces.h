// Android sparse images that were split for flashing: NAME_sparsechunk.0, NAME_sparsechunk.1, ... (or without the dot).
#pragma once

#include <optional>
#include <string>

namespace flatimg::catalog {

/// The name of piece `number`, beside `path`, when `path` is that of the first piece of a split image; else nullopt.
[[nodiscard]] std::optional<std::string> piece_name(const std::string& path, unsigned number);

}  // namespace flatimg::catalog
