// flatimg snapshot: internal snapshots, listed, taken, applied and deleted.
#include <chrono>
#include <memory>

#include "catalog/describe.h"
#include "tools/image_change.h"
#include "tools/image_options.h"
#include "tools/snapshot_list.h"

namespace flatimg::tools {

namespace {

struct SnapshotArguments {
  ChangeOptions image;
  bool list = false;
  std::string create;
  std::string apply;
  std::string erase;
  bool force_share = false;
  Output output = Output::Human;
};

SnapshotInfo named_now(const std::string& name) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  SnapshotInfo info;
  info.name = name;
  info.date_seconds = static_cast<std::uint32_t>(seconds.count());
  info.date_nanoseconds = static_cast<std::uint32_t>(std::chrono::nanoseconds(now - seconds).count());
  return info;
}

Result<void> list(const SnapshotArguments& arguments) {
  catalog::InspectRequest request;
  request.path = arguments.image.path;
  if (!arguments.image.format.empty()) request.format = arguments.image.format;
  request.locks = arguments.force_share ? catalog::Locks::Ignore : catalog::Locks::Take;
  TRY(const ImageInfo info, catalog::describe_image(request));
  if (arguments.output == Output::Human) return print_snapshot_list(info.snapshots), Result<void>();
  auto array = nlohmann::ordered_json::array();
  for (const SnapshotInfo& snapshot : info.snapshots) array.push_back(snapshot_json(snapshot));
  print_json(array);
  return {};
}

Result<void> act(const SnapshotArguments& arguments, const CLI::App& command) {
  if (arguments.list) return list(arguments);
  if (arguments.force_share) return fail(ErrorKind::BadUsage, "-U is for -l: whoever changes an image needs its lock");
  return change_image(arguments.image, [&](Disk& disk) -> Result<void> {
    if (command.count("-c") > 0) return disk.create_snapshot(named_now(arguments.create));
    if (command.count("-a") > 0) return disk.apply_snapshot(arguments.apply);
    return disk.delete_snapshot(arguments.erase);
  });
}

int run_snapshot(const SnapshotArguments& arguments, const CLI::App& command) {
  const auto done = act(arguments, command);
  return done ? 0 : complain(done.error());
}

}  // namespace

void add_snapshot_command(Program& program) {
  const auto arguments = std::make_shared<SnapshotArguments>();
  CLI::App* command = program.app.add_subcommand("snapshot", "List, take, apply or delete snapshots inside an image");
  CLI::Option_group* action = command->add_option_group("Action", "Exactly one of");
  action->add_flag("-l,--list", arguments->list, "List the snapshots");
  action->add_option("-c,--create", arguments->create, "Take a snapshot")->type_name("NAME");
  action->add_option("-a,--apply", arguments->apply, "Make the disk what it was")->type_name("ID|NAME");
  action->add_option("-d,--delete", arguments->erase, "Delete a snapshot")->type_name("NAME|ID");
  action->require_option(1);
  add_change_options(*command, arguments->image);
  command->add_flag("-U,--force-share", arguments->force_share, "List without locks, even while somebody writes");
  add_output_option(*command, arguments->output);
  command->callback([&program, arguments, command] {
    program.chosen = [arguments, command] { return run_snapshot(*arguments, *command); };
  });
}

}  // namespace flatimg::tools
