// The program `flatimg`, and the names under which mount(8) and umount(8) look for it.
//
// What the first argument is decides: a command; nothing that is one, and then `flatimg SOURCE MOUNTPOINT` stands for
// `flatimg mount SOURCE MOUNTPOINT`, which is how mount.fuse3 calls the program.
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <vector>

#include "tools/commands.h"

namespace flatimg::tools {

int complain(std::string_view text) {
  fmt::print(stderr, "flatimg: {}\n", text);
  return 1;
}

int complain(const Error& error) { return complain(error.text); }

namespace {

void describe(Program& program) {
  program.app.name("flatimg");
  program.app.description("Shows disk images as flat raw files.");
  program.app.footer("flatimg SOURCE MOUNTPOINT [-o OPTIONS] is short for flatimg mount.");
  program.app.set_help_flag("-h,--help", "Print this help and exit");
  program.app.set_version_flag("-V,--version", "flatimg " FLATIMG_VERSION, "Print the version and exit");
  program.app.require_subcommand(1);
  add_mount_command(program);
  add_umount_command(program);
  add_attach_command(program);
  add_detach_command(program);
  add_status_command(program);
  add_doctor_command(program);
  add_info_command(program);
  add_map_command(program);
  add_check_command(program);
  add_create_command(program);
  add_compose_command(program);
  add_resize_command(program);
  add_compare_command(program);
  add_convert_command(program);
  add_commit_command(program);
  add_rebase_command(program);
  add_snapshot_command(program);
  for (CLI::App* command : program.app.get_subcommands({})) {
    command->set_version_flag("-V,--version", "flatimg " FLATIMG_VERSION, "Print the version and exit");
  }
}

bool is_command(const Program& program, const std::string& word) {
  for (const CLI::App* command : program.app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == word) return true;
  }
  return false;
}

bool asks_about_program(const std::string& word) {
  return word == "-h" || word == "--help" || word == "-V" || word == "--version";
}

/// The arguments with `mount` put in front where they are the shorthand.
std::vector<std::string> without_shorthand(const Program& program, std::vector<std::string> arguments) {
  if (arguments.size() >= 2 && !asks_about_program(arguments[0]) && !is_command(program, arguments[0])) {
    arguments.insert(arguments.begin(), "mount");
  }
  return arguments;
}

int parse_and_run(const std::vector<std::string>& given) {
  Program program;
  describe(program);
  if (given.empty()) return complain("no command. See flatimg --help");
  std::vector<std::string> arguments = without_shorthand(program, given);
  const std::string first = arguments.front();
  if (!asks_about_program(first) && !is_command(program, first)) {
    return complain(first + ": no such command. See flatimg --help");
  }
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // what CLI11 takes
  try {
    program.app.parse(reversed);
  } catch (const CLI::ParseError& stopped) {
    if (stopped.get_exit_code() == 0) return program.app.exit(stopped);
    return complain(fmt::format("{}: {}. See flatimg {} --help", first, stopped.what(), first));
  }
  return program.chosen();
}

int run(int argc, char** argv) {
  const std::string name = std::filesystem::path(argc > 0 ? argv[0] : "flatimg").filename();
  if (name == "mount.flatimg" || name == "mount.fuse.flatimg") return run_mount_helper(argc, argv);
  if (name == "umount.flatimg" || name == "umount.fuse.flatimg") return run_umount_helper(argc, argv);
  return parse_and_run({argv + (argc > 0 ? 1 : 0), argv + argc});
}

}  // namespace

}  // namespace flatimg::tools

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error like others, which cleans up after itself
  try {
    return flatimg::tools::run(argc, argv);
  } catch (const std::bad_alloc&) {
    return flatimg::tools::complain("out of memory");
  } catch (const std::exception& unexpected) {
    return flatimg::tools::complain(unexpected.what());
  }
}
