// flatimg status.
#include "tools/commands.h"

namespace flatimg::tools {

void add_status_command(Program& program) {
  CLI::App* command = program.app.add_subcommand("status", "Not in this version yet");
  command->callback([&program] { program.chosen = [] { return complain("status: not in this version yet"); }; });
}

}  // namespace flatimg::tools
