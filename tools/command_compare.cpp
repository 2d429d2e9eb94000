// flatimg compare: whether two images show the same disk. Exit codes: 0 equal, 1 different, 2 error.
#include <memory>

#include "tools/image_options.h"
#include "tools/passphrase.h"
#include "tools/progress_bar.h"
#include "transfer/compare.h"

namespace flatimg::tools {

namespace {

constexpr int kDifferent = 1;
constexpr int kError = 2;

struct CompareOptions {
  DiskSource first;
  DiskSource second;
  bool strict = false;
  bool quiet = false;
  ProgressBar::When bar = ProgressBar::When::OnTerminal;
};

Result<std::unique_ptr<Disk>> open_disk(const DiskSource& options) {
  TRY(catalog::Opened opened, open_with_passphrase(open_request(options), options.key_file));
  return std::make_unique<Disk>(std::move(opened.chain), DiskOptions{});
}

Result<std::optional<transfer::Difference>> compare_disks(const CompareOptions& options) {
  TRY(const auto first, open_disk(options.first));
  TRY(const auto second, open_disk(options.second));
  ProgressBar bar(options.quiet ? ProgressBar::When::Never : options.bar, ProgressBar::Unit::Bytes);
  TRY(const auto difference,
      transfer::compare(*first, *second,
                        options.strict ? transfer::Strictness::Allocation : transfer::Strictness::Contents,
                        bar.progress()));
  const GuestOffset common = GuestOffset(0) + std::min(first->size(), second->size());
  const bool reached_end = !difference || difference->at >= common;
  if (!options.strict && !options.quiet && first->size() != second->size() && reached_end) {
    fmt::print("Warning: Image size mismatch!\n");
  }
  return difference;
}

void print_difference(const transfer::Difference& difference) {
  using Kind = transfer::Difference::Kind;
  switch (difference.kind) {
    case Kind::Content:
      fmt::print("Content mismatch at offset {}!\n", difference.at.value());
      break;
    case Kind::Size:
      fmt::print("Strict mode: Image size mismatch!\n");
      break;
    case Kind::Allocation:
      fmt::print("Strict mode: Offset {} block status mismatch!\n", difference.at.value());
      break;
  }
}

int run_compare(CompareOptions options) {
  options.second.allowed_directories = options.first.allowed_directories;
  options.second.force_share = options.first.force_share;
  options.second.key_file = options.first.key_file;
  const auto difference = compare_disks(options);
  if (!difference) {
    complain(difference.error());
    return kError;
  }
  if (*difference) {
    if (!options.quiet) print_difference(**difference);
    return kDifferent;
  }
  if (!options.quiet) fmt::print("Images are identical.\n");
  return 0;
}

}  // namespace

void add_compare_command(Program& program) {
  const auto options = std::make_shared<CompareOptions>();
  CLI::App* command = program.app.add_subcommand("compare", "Say whether two images show the same disk");
  command->footer(
      "Exit codes: 0 equal, 1 different, 2 error. A shorter disk is equal when zeroes follow in the longer.");
  add_disk_source(*command, options->first);
  command->add_option("-F", options->second.format, "Format of the second image");
  command->add_flag("-s,--strict", options->strict, "Sizes, and which parts are allocated, must agree as well");
  add_progress_option(*command, options->bar);
  command->add_flag("-q,--quiet", options->quiet, "Print nothing but errors");
  command->add_option("IMAGE2", options->second.path, "The second image")->required();
  command->callback([&program, options] { program.chosen = [options] { return run_compare(*options); }; });
}

}  // namespace flatimg::tools
