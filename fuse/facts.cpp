// JSON for people and programs that ask a mount about itself.
#include "fuse/facts.h"

#include <unistd.h>

#include "fuse/mount_json.h"

namespace flatimg::flat {

namespace {

using Json = nlohmann::ordered_json;

}  // namespace

std::string stats_json(const Exported& exported) {
  Json stats{{"filename", exported.source}, {"mountpoint", exported.mountpoint}};
  if (!exported.written.empty()) stats["written-file"] = exported.written;
  stats.update(Json{{"pid", getpid()}, {"open-files", exported.open_files.load()}});
  stats.update(requests_json(exported.counters));
  stats.update(writing_json(exported.disk.writable(), exported.disk.corruption()));
  stats.update(
      Json{{"image", counters_json(exported.disk.counters())}, {"sandbox", sandbox_json(exported.confinement)}});
  return as_text(stats);
}

std::string info_json(const Exported& exported) {
  const auto described = exported.look.describe();
  const auto corruption = exported.disk.corruption();
  Json json = described ? image_json(*described) : Json::object();
  json.update(Json{{"filename", exported.source},
                   {"format", exported.format},
                   {"virtual-size", exported.disk.size().value()},
                   {"read-only", !exported.disk.writable() || corruption},
                   {"corrupt", corruption.has_value()},
                   {"mountpoint", exported.mountpoint}});
  if (const auto table = partitions::read_table(exported.disk)) json["partition-table"] = partitions_json(*table);
  return as_text(json);
}

std::string fact_text(const Exported& exported, Node node) {
  return node == Node::Stats ? stats_json(exported) : info_json(exported);
}

}  // namespace flatimg::flat
