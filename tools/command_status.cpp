// flatimg status: the live counters of a mount.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "fuse/client.h"
#include "tools/commands.h"

namespace flatimg::tools {

namespace {

using Json = nlohmann::ordered_json;

struct StatusArguments {
  std::string mountpoint;
  std::string output = "human";
};

std::string value_text(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

std::size_t longest_name(const Json& object) {
  std::size_t longest = 0;
  for (const auto& [name, value] : object.items()) {
    longest = std::max(longest, value.is_object() ? longest_name(value) + 2 : name.size());
  }
  return longest;
}

void print_table(const Json& object, const std::string& indent, std::size_t width) {
  for (const auto& [name, value] : object.items()) {
    if (value.is_object()) {
      fmt::print("{}{}\n", indent, name);
      print_table(value, indent + "  ", width - 2);
    } else {
      fmt::print("{}{:<{}}  {:>{}}\n", indent, name, width, value_text(value), value.is_number() ? 14 : 0);
    }
  }
}

int run_status(const StatusArguments& arguments) {
  const auto mount = flat::find_mount(arguments.mountpoint);
  if (!mount) return complain(mount.error());
  const auto text = flat::ask_status(*mount);
  if (!text) return complain(text.error());
  if (arguments.output == "json") {
    std::fputs(text->c_str(), stdout);
    return 0;
  }
  const Json status = Json::parse(*text, nullptr, false);
  if (!status.is_object()) return complain(arguments.mountpoint + ": the helper gave no counters");
  print_table(status, "", longest_name(status));
  return 0;
}

}  // namespace

void add_status_command(Program& program) {
  CLI::App* command = program.app.add_subcommand("status", "Show the live counters of a mount");
  auto arguments = std::make_shared<StatusArguments>();
  command
      ->add_option("MOUNTPOINT", arguments->mountpoint,
                   "Where the image is mounted; or the loop device of an attached one")
      ->required();
  command->add_option("--output", arguments->output, "human or json")->check(CLI::IsMember({"human", "json"}));
  command->callback([&program, arguments] { program.chosen = [arguments] { return run_status(*arguments); }; });
}

}  // namespace flatimg::tools
