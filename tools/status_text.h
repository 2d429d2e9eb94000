// What `flatimg status` prints of the JSON that a mount gives.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

namespace flatimg::tools {

/// All fields in a table, one below the other.
[[nodiscard]] std::string status_table(const nlohmann::ordered_json& status);

/// What happened between two answers: rates, latencies, and how things stand.
[[nodiscard]] std::string status_between(const nlohmann::ordered_json& before, const nlohmann::ordered_json& now,
                                         std::chrono::duration<double> time);

/// The text format of Prometheus, version 0.0.4.
[[nodiscard]] std::string status_for_prometheus(const nlohmann::ordered_json& status);

}  // namespace flatimg::tools
