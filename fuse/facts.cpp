// JSON for people and programs that ask a mount about itself.
#include "fuse/facts.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

namespace flatimg::flat {

namespace {

using Json = nlohmann::ordered_json;

Json sandbox_json(const Confinement& confinement) {
  if (!confinement.asked_for) return "off";
  Json parts{{"landlock", confinement.landlock},
             {"seccomp", confinement.system_calls},
             {"no-new-privileges", confinement.no_new_privileges},
             {"capabilities", confinement.capabilities}};
  if (!confinement.missing.empty()) parts["missing"] = confinement.missing;
  return parts;
}

std::string as_text(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

}  // namespace

std::string stats_json(const Exported& exported) {
  Json requests = Json::object();
  for (std::size_t i = 0; i < kRequestNames.size(); ++i) {
    requests[std::string(kRequestNames[i])] = exported.counters.count_of(i);
  }
  Json image = Json::object();
  for (const auto& [name, value] : exported.disk.counters()) image[name] = value;
  Json stats{{"filename", exported.source}, {"mountpoint", exported.mountpoint}};
  if (!exported.written.empty()) stats["written-file"] = exported.written;
  stats.update(Json{{"pid", getpid()},
                    {"open-files", exported.open_files.load()},
                    {"bytes-read", exported.counters.bytes_read()},
                    {"bytes-written", exported.counters.bytes_written()},
                    {"errors", exported.counters.errors()},
                    {"requests", requests},
                    {"image", image},
                    {"sandbox", sandbox_json(exported.confinement)}});
  return as_text(stats);
}

std::string info_json(const Exported& exported) {
  return as_text(Json{{"filename", exported.source},
                      {"format", exported.format},
                      {"virtual-size", exported.disk.size().value()},
                      {"read-only", !exported.disk.writable()},
                      {"mountpoint", exported.mountpoint}});
}

std::string fact_text(const Exported& exported, Node node) {
  return node == Node::Stats ? stats_json(exported) : info_json(exported);
}

}  // namespace flatimg::flat
