#include "fuse/image_folder.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "partitions/label.h"

namespace flatimg::flat {

namespace {

constexpr std::size_t kLongestName = 255;

bool can_be_a_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.size() <= kLongestName &&
         name.find_first_of(std::string("/\0", 2)) == std::string::npos;
}

void add_name(std::vector<SnapshotName>& names, const SnapshotInfo& snapshot) {
  const auto taken = [&](const std::string& name) {
    return std::ranges::find(names, name, &SnapshotName::name) != names.end();
  };
  for (const std::string& name : {snapshot.name, snapshot.id}) {
    if (can_be_a_name(name) && !taken(name)) return names.push_back({name, snapshot.id});
  }
}

}  // namespace

std::vector<SnapshotName> names_of(const std::vector<SnapshotInfo>& snapshots) {
  std::vector<SnapshotName> names;
  for (const SnapshotInfo& snapshot : snapshots) add_name(names, snapshot);
  return names;
}

std::vector<std::string> names_of(const partitions::Partition& partition) {
  std::vector<std::string> names{fmt::format("p{}", partition.number)};
  if (partitions::is_plain(partition.label)) names.push_back(names[0] + "." + partition.label);
  return names;
}

const partitions::Partition* find_named(const partitions::Table& table, std::string_view name) {
  for (const partitions::Partition& one : table.partitions) {
    const auto names = names_of(one);
    if (std::ranges::find(names, name) != names.end()) return &one;
  }
  return nullptr;
}

bool may_name_a_partition(std::string_view name) {
  return name.size() > 1 && name[0] == 'p' && name[1] >= '1' && name[1] <= '9';
}

void add_items(std::vector<FolderItem>& items, const partitions::Table& table) {
  for (const partitions::Partition& one : table.partitions) {
    for (std::string& name : names_of(one)) items.push_back({std::move(name), S_IFREG});
  }
}

}  // namespace flatimg::flat
