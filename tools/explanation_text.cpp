#include "tools/explanation_text.h"

#include <fmt/format.h>

#include "base/text.h"

namespace flatimg::tools {

namespace {

using Json = nlohmann::ordered_json;
using catalog::NamedFile;
using catalog::Problem;

const char* word_of(Problem::Weight weight) {
  switch (weight) {
    case Problem::Weight::Refusal:
      return "refusal";
    case Problem::Weight::ReadOnly:
      return "read-only";
    case Problem::Weight::Note:
      return "note";
  }
  return "note";
}

Json json_of(const NamedFile& file) {
  Json json{{"named-by", file.named_by},
            {"role", file.role},
            {"name", file.name},
            {"path", file.path},
            {"found", file.found}};
  if (file.format) json["format"] = *file.format;
  return json;
}

Json json_of(const Problem& problem) {
  Json json{{"weight", word_of(problem.weight)},
            {"image", problem.image},
            {"feature", problem.feature},
            {"text", problem.text}};
  if (!problem.help.empty()) json["help"] = problem.help;
  return json;
}

std::string line_of(const NamedFile& file) {
  std::string line = fmt::format("  {} {}", file.role, shown(file.name));
  if (file.path != file.name) line += fmt::format(" -> {}", shown(file.path));
  if (file.format) line += fmt::format(" ({})", shown(*file.format));
  return line + fmt::format(", named by {}\n", shown(file.named_by));
}

std::string lines_of(const Problem& problem) {
  const bool named = problem.text.starts_with(shown(problem.image));
  std::string lines = fmt::format("  {}: {}: {}{}\n", word_of(problem.weight), problem.feature,
                                  named ? "" : shown(problem.image) + ": ", problem.text);
  if (!problem.help.empty()) lines += fmt::format("    help: {}\n", problem.help);
  return lines;
}

}  // namespace

Json explanation_json(const std::string& image, const catalog::Explanation& found) {
  Json json{{"filename", image}, {"format", found.format}, {"can-be-mounted", found.can_be_mounted()}};
  json["files"] = Json::array();
  for (const NamedFile& file : found.files) json["files"].push_back(json_of(file));
  json["problems"] = Json::array();
  for (const Problem& problem : found.problems) json["problems"].push_back(json_of(problem));
  return json;
}

std::string explanation_text(const std::string& image, const catalog::Explanation& found) {
  std::string text =
      fmt::format("image: {}\nfile format: {}\ncan be mounted: {}\n", shown(image),
                  found.format.empty() ? "unknown" : found.format, found.can_be_mounted() ? "yes" : "no");
  if (!found.files.empty()) text += "files that it names:\n";
  for (const NamedFile& file : found.files) text += line_of(file);
  if (!found.problems.empty()) text += "what to know:\n";
  for (const Problem& problem : found.problems) text += lines_of(problem);
  return text;
}

}  // namespace flatimg::tools
