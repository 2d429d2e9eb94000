// Goes down a chain of backing files, or a tree of parts, without opening the images.
#pragma once

#include <functional>

#include "catalog/inspect.h"

namespace flatimg::catalog {

/// The name of a backing file, as the image spells it, and its format where that is recorded. Or that of a part.
struct Backing {
  std::string name;
  std::optional<std::string> format;
  std::string_view role = "backing file";
};

/// What the header of an image of any format says is behind it.
Result<std::optional<Backing>> backing_of(const Inspected& image);

/// Shows the image and everything behind it, top first. `visit` says what is behind an image. Other files are opened
/// through the gate only; no file appears twice, and no chain is longer than one that can be opened.
Result<void> walk_chain(const InspectRequest& request,
                        const std::function<Result<std::optional<Backing>>(const Inspected&)>& visit);

/// The same for images that lead to more than one other.
Result<void> walk_tree(const InspectRequest& request,
                       const std::function<Result<std::vector<Backing>>(const Inspected&)>& visit);

/// Where a name in an image leads, spelled like the path of that image: what follows its last slash is replaced.
[[nodiscard]] std::string full_name(const std::string& name, const std::string& path);

}  // namespace flatimg::catalog
