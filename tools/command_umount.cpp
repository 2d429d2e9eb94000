// flatimg umount.
#include "tools/commands.h"

namespace flatimg::tools {

void add_umount_command(Program& program) {
  CLI::App* command = program.app.add_subcommand("umount", "Not in this version yet");
  command->callback([&program] { program.chosen = [] { return complain("umount: not in this version yet"); }; });
}

int run_umount_helper(int, char**) { return complain("not in this version yet"); }

}  // namespace flatimg::tools
