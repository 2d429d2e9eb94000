// The text of the files under .flatimg/, which is also what `flatimg status` shows.
#pragma once

#include <string>

#include "fuse/exported.h"

namespace flatimg::flat {

/// Live counters of the image and of the requests, as JSON with a line end.
[[nodiscard]] std::string stats_json(const Exported& exported);
/// What the image is, with qemu-img's field names.
[[nodiscard]] std::string info_json(const Exported& exported);

/// The text of one of the fact files.
[[nodiscard]] std::string fact_text(const Exported& exported, Node node);

}  // namespace flatimg::flat
