// What a directory of images tells of itself.
#pragma once

#include <string>

#include "fuse/tree/tree.h"

namespace flatimg::flat::tree {

/// Live counters of the mount, and of every image that is open, as JSON with a line end.
[[nodiscard]] std::string stats_json(const Tree& tree);

/// What the image says of itself, with qemu-img's field names; and its partitions, where the disk can be read now.
Result<std::string> info_json(Tree& tree, const NodePtr& image);
/// Where its bytes are, as `qemu-img map --output=json` has it. Opens the image for reading. Limit when it would be
/// longer than anybody can want in memory.
Result<std::string> map_json(Tree& tree, const NodePtr& image);
/// Its live counters; what it has while nobody has it open is only that.
[[nodiscard]] std::string stats_json(Tree& tree, const NodePtr& image);

}  // namespace flatimg::flat::tree
