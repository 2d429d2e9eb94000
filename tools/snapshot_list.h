// The list of internal snapshots as qemu-img prints it, for people and as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "image/report.h"

namespace flatimg::tools {

/// Nothing at all when there are none.
void print_snapshot_list(const std::vector<SnapshotInfo>& snapshots);

/// Fields as in the array "snapshots" of `qemu-img info`.
[[nodiscard]] nlohmann::ordered_json snapshot_json(const SnapshotInfo& snapshot);

}  // namespace flatimg::tools
