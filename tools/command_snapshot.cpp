// flatimg snapshot: internal snapshots, listed, taken, applied and deleted. Of an image that is mounted they are taken
// and deleted by the helper that has it.
#include <memory>

#include "base/text.h"
#include "catalog/describe.h"
#include "fuse/client.h"
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

/// The helper that has the image mounted does it. Its disk cannot become another one under those who use it.
Result<void> act_on_mount(const flat::MountEntry& mount, const SnapshotArguments& arguments, const CLI::App& command) {
  if (command.count("-c") > 0) return flat::create_snapshot(mount, arguments.image.path, arguments.create);
  if (command.count("-d") > 0) return flat::delete_snapshot(mount, arguments.image.path, arguments.erase);
  return fail(ErrorKind::Busy, "{}: is mounted: run `flatimg umount {}` first", shown(arguments.image.path),
              shown(mount.mountpoint));
}

Result<void> act(const SnapshotArguments& arguments, const CLI::App& command) {
  if (arguments.list) return list(arguments);
  if (arguments.force_share) return fail(ErrorKind::BadUsage, "-U is for -l: whoever changes an image needs its lock");
  if (const auto mount = flat::mount_around(arguments.image.path)) return act_on_mount(*mount, arguments, command);
  const auto changed = change_image(arguments.image, [&](Disk& disk) -> Result<void> {
    if (command.count("-c") > 0) return disk.create_snapshot(snapshot_now(arguments.create));
    if (command.count("-a") > 0) return disk.apply_snapshot(arguments.apply);
    return disk.delete_snapshot(arguments.erase);
  });
  if (changed || changed.error().kind != ErrorKind::Busy || command.count("-a") > 0) return changed;
  const auto mount = flat::mount_writing(arguments.image.path);
  return mount ? act_on_mount(*mount, arguments, command) : changed;
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
