#include "fuse/mount_json.h"

#include <cmath>

namespace flatimg::flat {

using Json = nlohmann::ordered_json;

std::string as_text(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

Json counters_json(const Counters& counters) {
  Json json = Json::object();
  for (const auto& [name, value] : counters) json[name] = value;
  return json;
}

Json writing_json(bool writable, const std::optional<std::string>& corruption) {
  Json json{{"writable", writable && !corruption}, {"corrupt", corruption.has_value()}};
  if (corruption) json["corruption"] = *corruption;
  return json;
}

Json image_json(const ImageInfo& info) {
  Json json{{"filename", info.filename},
            {"format", info.format},
            {"virtual-size", info.virtual_size.value()},
            {"actual-size", info.actual_size.value()}};
  if (info.cluster_size) json["cluster-size"] = info.cluster_size->value();
  if (info.backing_name) json["backing-filename"] = *info.backing_name;
  if (info.full_backing_name) json["full-backing-filename"] = *info.full_backing_name;
  if (info.backing_format) json["backing-filename-format"] = *info.backing_format;
  json["dirty-flag"] = info.dirty;
  json["corrupt"] = info.corrupt;
  if (info.encrypted) json["encrypted"] = true;
  for (const SnapshotInfo& snapshot : info.snapshots) {
    json["snapshots"].push_back(
        Json{{"id", snapshot.id}, {"name", snapshot.name}, {"date-sec", snapshot.date_seconds}});
  }
  return json;
}

Json partitions_json(const partitions::Table& table) {
  Json list = Json::array();
  for (const partitions::Partition& one : table.partitions) {
    Json entry{{"number", one.number}, {"start", one.where.begin.value()}, {"size", one.where.length.value()}};
    entry["type"] = one.type;
    if (!one.guid.empty()) entry["uuid"] = one.guid;
    if (!one.label.empty()) entry["name"] = one.label;
    list.push_back(std::move(entry));
  }
  Json json{{"scheme", partitions::name_of(table.scheme)}, {"sector-size", table.sector_size.value()}};
  json["partitions"] = std::move(list);
  if (!table.notes.empty()) json["notes"] = table.notes;
  return json;
}

Json sandbox_json(const Confinement& confinement) {
  if (!confinement.asked_for) return "off";
  Json parts{{"landlock", confinement.landlock},
             {"seccomp", confinement.system_calls},
             {"no-new-privileges", confinement.no_new_privileges},
             {"capabilities", confinement.capabilities}};
  if (!confinement.missing.empty()) parts["missing"] = confinement.missing;
  return parts;
}

namespace {

constexpr double kMicrosecond = 1000;

/// The time in which so many of the requests were answered, in microseconds.
double percentile(const Latency& latency, std::uint64_t count, double share) {
  const auto wanted = static_cast<std::uint64_t>(std::ceil(static_cast<double>(count) * share));
  std::uint64_t seen = 0;
  for (std::size_t nth = 0; nth < Latency::kClasses; ++nth) {
    seen += latency.count_of(nth);
    if (seen >= wanted) return static_cast<double>(Latency::end_of(nth)) / kMicrosecond;
  }
  return 0;
}

Json latency_json(const Latency& latency, std::uint64_t count) {
  Json classes = Json::array();  // ends in nanoseconds, and how many; empty ones are left out
  for (std::size_t nth = 0; nth < Latency::kClasses; ++nth) {
    if (const std::uint64_t inside = latency.count_of(nth); inside != 0) {
      classes.push_back(Json::array({Latency::end_of(nth), inside}));
    }
  }
  return Json{{"p50-us", percentile(latency, count, 0.5)},
              {"p99-us", percentile(latency, count, 0.99)},
              {"total-us", static_cast<double>(latency.total().count()) / kMicrosecond},
              {"classes", classes}};
}

std::uint64_t answered(const Latency& latency) {
  std::uint64_t count = 0;
  for (std::size_t nth = 0; nth < Latency::kClasses; ++nth) count += latency.count_of(nth);
  return count;
}

}  // namespace

Json requests_json(const RequestCounters& counters) {
  Json requests = Json::object();
  Json latency = Json::object();
  for (std::size_t i = 0; i < kRequestNames.size(); ++i) {
    const std::string name(kRequestNames[i]);
    requests[name] = counters.count_of(i);
    const std::uint64_t count = answered(counters.latency_of(i));
    if (count != 0) latency[name] = latency_json(counters.latency_of(i), count);
  }
  return Json{{"bytes-read", counters.bytes_read()},
              {"bytes-written", counters.bytes_written()},
              {"errors", counters.errors()},
              {"requests", requests},
              {"latency", latency}};
}

}  // namespace flatimg::flat
