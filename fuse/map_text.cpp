#include "fuse/map_text.h"

#include "view/map_entries.h"

namespace flatimg::flat {

namespace {

constexpr std::size_t kLongest = std::size_t{64} << 20;

std::string as_json(const MapEntry& entry) {
  const std::string offset = entry.offset ? fmt::format(", \"offset\": {}", entry.offset->value()) : "";
  return fmt::format("{{ \"start\": {}, \"length\": {}, \"depth\": {}, \"present\": {}, \"zero\": {}, \"data\": {}{}}}",
                     entry.where.begin.value(), entry.where.length.value(), entry.depth, entry.present, entry.zero,
                     entry.data, offset);
}

}  // namespace

Result<std::string> map_as_json(Disk& disk) {
  std::string text = "[";
  const auto add = [&](const MapEntry& entry) {
    if (text.size() < kLongest) text.append(text.size() == 1 ? "" : ",\n").append(as_json(entry));
  };
  if (disk.size().is_zero()) add({});
  CHECK(walk_map(disk, {}, add));
  if (text.size() >= kLongest) {
    return fail(ErrorKind::Limit, "the map is longer than {} bytes: use flatimg map", kLongest);
  }
  return text + "]\n";
}

}  // namespace flatimg::flat
