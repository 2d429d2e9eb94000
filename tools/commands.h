// The sub-commands of the program `flatimg`: one file each, command_<name>.cpp, all declared here.
//
// A command adds itself to the parser and names what is to run when it was chosen. Parsing runs nothing, so that a
// usage error never leaves half a command done.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace flatimg::tools {

struct Program {
  CLI::App app;
  /// Set by the callback of the sub-command that was chosen; returns the exit code.
  std::function<int()> chosen;
};

void add_mount_command(Program& program);
void add_umount_command(Program& program);
void add_attach_command(Program& program);
void add_detach_command(Program& program);
void add_status_command(Program& program);
void add_doctor_command(Program& program);
void add_info_command(Program& program);
void add_map_command(Program& program);
void add_check_command(Program& program);
void add_create_command(Program& program);
void add_compose_command(Program& program);
void add_resize_command(Program& program);
void add_compare_command(Program& program);
void add_convert_command(Program& program);
void add_commit_command(Program& program);
void add_rebase_command(Program& program);
void add_snapshot_command(Program& program);

/// mount.flatimg: mount(8)'s helper protocol instead of sub-commands. Returns mount(8)'s exit bits.
int run_mount_helper(int argc, char** argv);
/// umount.flatimg: umount(8)'s helper protocol.
int run_umount_helper(int argc, char** argv);

/// Writes "flatimg: TEXT" to standard error; returns 1, the exit code of a failure.
int complain(std::string_view text);
int complain(const Error& error);

}  // namespace flatimg::tools
