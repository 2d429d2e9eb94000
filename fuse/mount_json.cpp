#include "fuse/mount_json.h"

namespace flatimg::flat {

using Json = nlohmann::ordered_json;

std::string as_text(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

Json counters_json(const Counters& counters) {
  Json json = Json::object();
  for (const auto& [name, value] : counters) json[name] = value;
  return json;
}

Json requests_json(const RequestCounters& counters) {
  Json requests = Json::object();
  for (std::size_t i = 0; i < kRequestNames.size(); ++i) requests[std::string(kRequestNames[i])] = counters.count_of(i);
  return Json{{"bytes-read", counters.bytes_read()},
              {"bytes-written", counters.bytes_written()},
              {"errors", counters.errors()},
              {"requests", requests}};
}

}  // namespace flatimg::flat
