// flatimg info: what an image says of itself.
#include <memory>

#include "base/text.h"
#include "catalog/describe.h"
#include "catalog/explain.h"
#include "tools/explanation_text.h"
#include "tools/image_options.h"
#include "tools/snapshot_list.h"

namespace flatimg::tools {

namespace {

using Json = nlohmann::ordered_json;

// --- JSON -----------------------------------------------------------------------------------------------------------

Json json_of(const InfoValue& value);

Json json_of(const InfoFields& fields) {
  Json object = Json::object();
  for (const InfoField& field : fields) object[field.name] = json_of(field.value);
  return object;
}

Json json_of(const InfoValue& value) {
  if (const auto* fields = std::get_if<InfoFields>(&value.value)) return json_of(*fields);
  if (const auto* list = std::get_if<InfoList>(&value.value)) {
    Json array = Json::array();
    for (const InfoValue& element : *list) array.push_back(json_of(element));
    return array;
  }
  if (const auto* text = std::get_if<std::string>(&value.value)) return *text;
  if (const auto* number = std::get_if<std::uint64_t>(&value.value)) return *number;
  return std::get<bool>(value.value);
}

Json json_of(const ImageInfo& info) {
  Json object{{"filename", info.filename},
              {"format", info.format},
              {"virtual-size", info.virtual_size.value()},
              {"actual-size", info.actual_size.value()},
              {"dirty-flag", info.dirty}};
  if (info.cluster_size) object["cluster-size"] = info.cluster_size->value();
  if (info.encrypted) object["encrypted"] = true;
  if (info.backing_name) object["backing-filename"] = *info.backing_name;
  if (info.full_backing_name) object["full-backing-filename"] = *info.full_backing_name;
  if (info.backing_format) object["backing-filename-format"] = *info.backing_format;
  for (const SnapshotInfo& snapshot : info.snapshots) object["snapshots"].push_back(snapshot_json(snapshot));
  if (!info.details.empty()) object["format-specific"] = {{"type", info.format}, {"data", json_of(info.details)}};
  return object;
}

// --- for people -----------------------------------------------------------------------------------------------------

void print_value(const InfoValue& value, int indent);

void print_named(std::string name, const InfoValue& value, int indent) {
  std::replace(name.begin(), name.end(), '-', ' ');
  fmt::print("{:{}}{}:", "", indent, name);
  print_value(value, indent);
}

void print_value(const InfoValue& value, int indent) {
  constexpr int kStep = 4;
  if (const auto* text = std::get_if<std::string>(&value.value)) {
    fmt::print(" {}\n", shown(*text));
  } else if (const auto* number = std::get_if<std::uint64_t>(&value.value)) {
    fmt::print(" {}\n", *number);
  } else if (const auto* truth = std::get_if<bool>(&value.value)) {
    fmt::print(" {}\n", *truth);
  } else if (const auto* fields = std::get_if<InfoFields>(&value.value)) {
    fmt::print("\n");
    for (const InfoField& field : *fields) print_named(field.name, field.value, indent + kStep);
  } else {
    fmt::print("\n");
    std::size_t index = 0;
    for (const InfoValue& element : std::get<InfoList>(value.value)) {
      print_named(fmt::format("[{}]", index++), element, indent + kStep);
    }
  }
}

void print_backing(const ImageInfo& info) {
  if (!info.backing_name) return;
  fmt::print("backing file: {}", shown(*info.backing_name));
  if (info.full_backing_name && *info.full_backing_name != *info.backing_name) {
    fmt::print(" (actual path: {})", shown(*info.full_backing_name));
  }
  fmt::print("\n");
  if (info.backing_format) fmt::print("backing file format: {}\n", shown(*info.backing_format));
}

void print_info(const ImageInfo& info) {
  fmt::print("image: {}\nfile format: {}\nvirtual size: {}\ndisk size: {}\n", shown(info.filename), info.format,
             size_in_words(info.virtual_size), short_size(info.actual_size));
  if (info.encrypted) fmt::print("encrypted: yes\n");
  if (info.cluster_size) fmt::print("cluster_size: {}\n", info.cluster_size->value());
  if (info.dirty) fmt::print("cleanly shut down: no\n");
  print_backing(info);
  print_snapshot_list(info.snapshots);
  if (info.details.empty()) return;
  fmt::print("Format specific information:\n");
  for (const InfoField& field : info.details) print_named(field.name, field.value, 4);
}

// --- the command ----------------------------------------------------------------------------------------------------

struct InfoOptions {
  ImageOptions image;
  Output output = Output::Human;
  bool backing_chain = false;
  bool explain = false;
};

void print_chain(const std::vector<ImageInfo>& chain) {
  for (const ImageInfo& info : chain) {
    if (&info != &chain.front()) fmt::print("\n");
    print_info(info);
  }
}

int run_explain(const InfoOptions& options) {
  const auto reach = options.backing_chain ? catalog::Reach::Chain : catalog::Reach::Image;
  const catalog::Explanation found = catalog::explain(options.image.request(), reach);
  if (options.output == Output::Json) {
    print_json(explanation_json(options.image.path, found));
  } else {
    fmt::print("{}", explanation_text(options.image.path, found));
  }
  return found.can_be_mounted() ? 0 : 1;
}

int run_info(const InfoOptions& options) {
  if (options.explain) return run_explain(options);
  if (options.backing_chain) {
    const auto chain = catalog::describe_chain(options.image.request());
    if (!chain) return complain(chain.error());
    Json array = Json::array();
    for (const ImageInfo& info : *chain) array.push_back(json_of(info));
    options.output == Output::Json ? print_json(array) : print_chain(*chain);
    return 0;
  }
  const auto info = catalog::describe_image(options.image.request());
  if (!info) return complain(info.error());
  options.output == Output::Json ? print_json(json_of(*info)) : print_info(*info);
  return 0;
}

}  // namespace

void add_info_command(Program& program) {
  const auto options = std::make_shared<InfoOptions>();
  CLI::App* command = program.app.add_subcommand("info", "Tell what an image is");
  add_image_options(*command, options->image);
  add_output_option(*command, options->output);
  command->add_flag("--explain", options->explain,
                    "What stands in the way of mounting it, and which files it names; exit 0 when it can be mounted");
  command->add_flag("--backing-chain", options->backing_chain, "Also the images behind it");
  command->callback([&program, options] { program.chosen = [options] { return run_info(*options); }; });
}

}  // namespace flatimg::tools
