// -o NAME=VALUE,...: what a new image is to be like, in qemu-img's words.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tools/commands.h"

namespace flatimg::tools {

void add_format_options(CLI::App& command, std::vector<std::string>& lists);

/// The names and values of all lists, in order; BadUsage where one is no NAME=VALUE. A comma inside of a value is
/// written twice.
Result<std::vector<std::pair<std::string, std::string>>> format_options(const std::vector<std::string>& lists);

}  // namespace flatimg::tools
