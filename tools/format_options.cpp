#include "tools/format_options.h"

#include "base/text.h"

namespace flatimg::tools {

namespace {

std::vector<std::string> parts_of(std::string_view list) {
  std::vector<std::string> parts(1);
  for (std::size_t i = 0; i < list.size(); ++i) {
    const bool comma = list[i] == ',';
    const bool twice = comma && i + 1 < list.size() && list[i + 1] == ',';
    if (comma && !twice) {
      parts.emplace_back();
      continue;
    }
    parts.back() += list[i];
    if (twice) ++i;
  }
  return parts;
}

}  // namespace

void add_format_options(CLI::App& command, std::vector<std::string>& lists) {
  command.add_option("-o", lists, "NAME=VALUE,...: options of the new image's format, as qemu-img has them")
      ->type_name("OPTIONS")
      ->allow_extra_args(false);
}

Result<std::vector<std::pair<std::string, std::string>>> format_options(const std::vector<std::string>& lists) {
  std::vector<std::pair<std::string, std::string>> options;
  for (const std::string& list : lists) {
    for (const std::string& part : parts_of(list)) {
      const std::size_t equals = part.find('=');
      if (equals == std::string::npos || equals == 0) {
        return fail(ErrorKind::BadUsage, "-o {}: expected NAME=VALUE", shown(part));
      }
      options.emplace_back(part.substr(0, equals), part.substr(equals + 1));
    }
  }
  return options;
}

}  // namespace flatimg::tools
