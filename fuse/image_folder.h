// The names in the folder that .flatimg/ has for an image, whichever mount shows it: texts, partitions, snapshots.
// Names that images choose are shown only where they can be names of files that surprise nobody.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "image/report.h"
#include "partitions/table.h"

namespace flatimg::flat {

struct FolderItem {
  std::string name;
  mode_t type = 0;  // S_IFREG or S_IFDIR
};

inline constexpr std::string_view kSnapshotsFolder = "snapshots";

/// A snapshot, by the name of its file.
struct SnapshotName {
  std::string name;  // its own where that can be the name of a file and is the first such; else its ID
  std::string id;
};
[[nodiscard]] std::vector<SnapshotName> names_of(const std::vector<SnapshotInfo>& snapshots);

/// "p1", and "p1.LABEL" where the label is plain.
[[nodiscard]] std::vector<std::string> names_of(const partitions::Partition& partition);
/// The partition with that name; nullptr when there is none.
[[nodiscard]] const partitions::Partition* find_named(const partitions::Table& table, std::string_view name);
/// Whether it is worth reading the table for that name.
[[nodiscard]] bool may_name_a_partition(std::string_view name);
void add_items(std::vector<FolderItem>& items, const partitions::Table& table);

}  // namespace flatimg::flat
