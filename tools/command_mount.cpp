// flatimg mount.
#include "tools/commands.h"

namespace flatimg::tools {

void add_mount_command(Program& program) {
  CLI::App* command = program.app.add_subcommand("mount", "Not in this version yet");
  command->callback([&program] { program.chosen = [] { return complain("mount: not in this version yet"); }; });
}

int run_mount_helper(int, char**) { return complain("not in this version yet"); }

}  // namespace flatimg::tools
