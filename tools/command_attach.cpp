// flatimg attach and detach: an image as a loop device in one step, and back.
#include <memory>

#include "fuse/client.h"
#include "fuse/partition_devices.h"
#include "fuse/serve.h"
#include "tools/commands.h"
#include "tools/passphrase.h"

namespace flatimg::tools {

namespace {

struct AttachArguments {
  bool partitions = false;
  bool read_only = false;
  std::vector<std::string> option_lists;
  std::string image;
};

int run_attach(const AttachArguments& arguments) {
  std::vector<std::string> lists = arguments.option_lists;
  if (arguments.read_only) lists.emplace_back("ro");
  auto options = flat::parse_options(lists, flat::UnknownOption::Refuse);
  if (!options) return complain(options.error());
  flat::MountRequest request{arguments.image, "",
                             arguments.partitions ? flat::Partitions::Scan : flat::Partitions::Ignore,
                             *std::move(options), nullptr};
  if (const auto found = add_passphrase(request); !found) return complain(found.error());
  return flat::serve(std::move(request), flat::Run::Background, [&](const std::string& device) {
    if (arguments.partitions) {
      if (const auto added = flat::add_missing_partitions(device); !added) complain(added.error());
    }
    fmt::print("{}\n", device);
  });
}

int run_detach(const std::vector<std::string>& devices) {
  int exit_code = 0;
  for (const std::string& device : devices) {
    if (const auto detached = flat::detach_and_wait(device); !detached) exit_code = complain(detached.error());
  }
  return exit_code;
}

}  // namespace

void add_attach_command(Program& program) {
  CLI::App* command = program.app.add_subcommand("attach", "Show an image as a loop device, and print its name");
  command->footer(
      "Nothing is mounted anywhere. flatimg detach takes the device away; also when all of flatimg is killed it "
      "goes as soon as nobody uses it.");
  auto arguments = std::make_shared<AttachArguments>();
  command->add_flag("-P,--partscan", arguments->partitions, "Find partitions: /dev/loopNp1 ...");
  command->add_flag("-r,--read-only", arguments->read_only, "Never write to the image");
  command->add_option("-o", arguments->option_lists, "Mount options, see flatimg mount --help")
      ->type_name("OPTIONS")
      ->allow_extra_args(false);
  command->add_option("IMAGE", arguments->image, "The image: a file or a block device")->required();
  command->callback([&program, arguments] { program.chosen = [arguments] { return run_attach(*arguments); }; });
}

void add_detach_command(Program& program) {
  CLI::App* command =
      program.app.add_subcommand("detach", "Take such a device away, and wait until the image is final");
  auto devices = std::make_shared<std::vector<std::string>>();
  command->add_option("DEVICE", *devices, "What flatimg attach has printed")->required();
  command->callback([&program, devices] { program.chosen = [devices] { return run_detach(*devices); }; });
}

}  // namespace flatimg::tools
