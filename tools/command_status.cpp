// flatimg status: the live counters of a mount; once, or again and again.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "fuse/client.h"
#include "tools/commands.h"
#include "tools/status_text.h"

namespace flatimg::tools {

namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr const char* kClearScreen = "\x1b[H\x1b[2J";

struct StatusArguments {
  std::string mountpoint;
  std::string output = "human";
  bool watch = false;
  double interval = 1;
  unsigned count = 0;  // 0: until the mount ends
};

Result<Json> status_of(const flat::MountEntry& mount) {
  TRY(const std::string text, flat::ask_status(mount));
  Json status = Json::parse(text, nullptr, false);
  if (!status.is_object()) return fail(ErrorKind::Io, "{}: the helper gave no counters", mount.mountpoint);
  return status;
}

/// What came in between is printed each time. The end of the mount is the end of the watch, and no failure.
Result<void> watch(const flat::MountEntry& mount, const StatusArguments& arguments) {
  TRY(Json before, status_of(mount));
  auto then = Clock::now();
  for (unsigned n = 0; arguments.count == 0 || n < arguments.count; ++n) {
    std::this_thread::sleep_for(std::chrono::duration<double>(arguments.interval));
    auto now = status_of(mount);
    if (!now) return {};
    const auto time = Clock::now();
    const bool terminal = isatty(STDOUT_FILENO) != 0;
    fmt::print("{}{}{}", terminal ? kClearScreen : "", status_between(before, *now, time - then), terminal ? "" : "\n");
    if (std::fflush(stdout) != 0) return {};
    before = *std::move(now);
    then = time;
  }
  return {};
}

Result<void> print_once(const flat::MountEntry& mount, const std::string& form) {
  if (form == "json") {
    TRY(const std::string text, flat::ask_status(mount));
    std::fputs(text.c_str(), stdout);
    return {};
  }
  TRY(const Json status, status_of(mount));
  fmt::print("{}", form == "prometheus" ? status_for_prometheus(status) : status_table(status));
  return {};
}

int run_status(const StatusArguments& arguments) {
  const auto mount = flat::find_mount(arguments.mountpoint);
  if (!mount) return complain(mount.error());
  const auto done = arguments.watch ? watch(*mount, arguments) : print_once(*mount, arguments.output);
  return done ? 0 : complain(done.error());
}

}  // namespace

void add_status_command(Program& program) {
  CLI::App* command = program.app.add_subcommand("status", "Show the live counters of a mount");
  auto arguments = std::make_shared<StatusArguments>();
  command
      ->add_option("MOUNTPOINT", arguments->mountpoint,
                   "Where the image is mounted; or the loop device of an attached one")
      ->required();
  auto* output = command->add_option("--output", arguments->output, "human, json or prometheus")
                     ->check(CLI::IsMember({"human", "json", "prometheus"}))
                     ->type_name("FORM");
  auto* again =
      command->add_flag("-w,--watch", arguments->watch, "Rates and latencies, again and again until the mount ends");
  again->excludes(output);
  command->add_option("--interval", arguments->interval, "Seconds between two looks with --watch (1)")
      ->check(CLI::Range(0.1, 86400.0))
      ->type_name("SECONDS")
      ->needs(again);
  command->add_option("--count", arguments->count, "How many times with --watch")->type_name("N")->needs(again);
  command->callback([&program, arguments] { program.chosen = [arguments] { return run_status(*arguments); }; });
}

}  // namespace flatimg::tools
