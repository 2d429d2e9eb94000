// What `flatimg info --explain` prints.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "catalog/explain.h"

namespace flatimg::tools {

[[nodiscard]] nlohmann::ordered_json explanation_json(const std::string& image, const catalog::Explanation& found);

/// Lines for people.
[[nodiscard]] std::string explanation_text(const std::string& image, const catalog::Explanation& found);

}  // namespace flatimg::tools
