// flatimg check: the verdict on an image, and its repair. Exit codes: 0 clean, 1 could not check, 2 corrupt, 3 leaks
// only. What is printed, and what a repair calls "fixed", is what qemu-img check prints.
#include <memory>

#include "base/text.h"
#include "catalog/check_image.h"
#include "tools/image_options.h"
#include "tools/progress_bar.h"

namespace flatimg::tools {

namespace {

using Json = nlohmann::ordered_json;

constexpr int kCouldNotCheck = 1;
constexpr int kCorrupt = 2;
constexpr int kLeaksOnly = 3;

struct CheckOptions {
  ImageOptions image;
  Output output = Output::Human;
  std::string repair;  // "leaks" or "all"; empty: look only
  bool data = false;
  ProgressBar::When bar = ProgressBar::When::OnTerminal;
  bool quiet = false;
};

struct Fixed {
  std::uint64_t corruptions = 0;
  std::uint64_t leaks = 0;
};

// --- what is printed ------------------------------------------------------------------------------------------------

void add_unless_zero(Json& object, const char* name, std::uint64_t value) {
  if (value != 0) object[name] = value;
}

Json json_of(const CheckOptions& options, const std::string& format, const CheckReport& report, Fixed fixed) {
  Json object{{"filename", options.image.path}, {"format", format}, {"check-errors", report.check_errors}};
  add_unless_zero(object, "image-end-offset", report.image_end.value());
  add_unless_zero(object, "corruptions", report.corruptions);
  add_unless_zero(object, "leaks", report.leaks);
  add_unless_zero(object, "corruptions-fixed", fixed.corruptions);
  add_unless_zero(object, "leaks-fixed", fixed.leaks);
  add_unless_zero(object, "total-clusters", report.total_clusters);
  add_unless_zero(object, "allocated-clusters", report.allocated_clusters);
  add_unless_zero(object, "fragmented-clusters", report.fragmented_clusters);
  add_unless_zero(object, "compressed-clusters", report.compressed_clusters);
  return object;
}

double percent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

void print_findings(const CheckReport& report) {
  for (const std::string& sentence : report.sentences) fmt::print(stderr, "{}\n", sentence);
  if (report.untold != 0) fmt::print(stderr, "... and {} more\n", report.untold);
}

void print_repairs(Fixed fixed) {
  fmt::print("The following inconsistencies were found and repaired:\n\n");
  fmt::print("    {} leaked clusters\n    {} corruptions\n\n", fixed.leaks, fixed.corruptions);
  fmt::print("Double checking the fixed image now...\n");
}

void print_faults(const CheckReport& report) {
  if (report.is_clean()) {
    fmt::print("No errors were found on the image.\n");
  }
  if (report.corruptions != 0) {
    fmt::print("\n{} errors were found on the image.\n", report.corruptions);
    fmt::print("Data may be corrupted, or further writes to the image may corrupt it.\n");
  }
  if (report.leaks != 0) {
    fmt::print("\n{} leaked clusters were found on the image.\n", report.leaks);
    fmt::print("This means waste of disk space, but no harm to data.\n");
  }
  if (report.check_errors != 0) {
    fmt::print("\n{} internal errors have occurred during the check.\n", report.check_errors);
  }
}

void print_verdict(const CheckReport& report) {
  print_faults(report);
  if (report.total_clusters != 0 && report.allocated_clusters != 0) {
    fmt::print("{}/{} = {:.2f}% allocated, {:.2f}% fragmented, {:.2f}% compressed clusters\n",
               report.allocated_clusters, report.total_clusters,
               percent(report.allocated_clusters, report.total_clusters),
               percent(report.fragmented_clusters, report.allocated_clusters),
               percent(report.compressed_clusters, report.allocated_clusters));
  }
  fmt::print("Image end offset: {}\n", report.image_end.value());
}

int exit_code_for(const CheckReport& report) {
  if (report.check_errors != 0) return kCouldNotCheck;
  if (report.corruptions != 0) return kCorrupt;
  return report.leaks != 0 ? kLeaksOnly : 0;
}

int tell(const CheckOptions& options, const std::string& format, const CheckReport& report, Fixed fixed) {
  print_findings(report);
  if (options.output == Output::Json) {
    if (!options.quiet) print_json(json_of(options, format, report, fixed));
  } else if (!options.quiet) {
    print_verdict(report);
  }
  return exit_code_for(report);
}

// --- doing it -------------------------------------------------------------------------------------------------------

catalog::CheckDepth depth_of(const CheckOptions& options) {
  return options.data ? catalog::CheckDepth::Data : catalog::CheckDepth::Tables;
}

/// Runs a check or a repair with a bar over it. Beside JSON there is none on standard output.
template <class Work>
auto with_bar(const CheckOptions& options, const Work& work) {
  ProgressBar bar(options.quiet || options.output == Output::Json ? ProgressBar::When::Never : options.bar);
  return work(bar.progress());
}

int run_check(const CheckOptions& options) {
  const auto checked = with_bar(options, [&](const Progress& progress) {
    return catalog::check_image(options.image.request(), depth_of(options), progress);
  });
  if (checked) return tell(options, checked->format, checked->report, {});
  complain(checked.error());
  return kCouldNotCheck;
}

int run_repair(const CheckOptions& options) {
  const RepairScope scope = options.repair == "all" ? RepairScope::All : RepairScope::Leaks;
  const auto repaired = with_bar(options, [&](const Progress& progress) {
    return catalog::repair_image(options.image.request(), scope, depth_of(options), progress);
  });
  if (!repaired) {
    complain(repaired.error());
    return kCouldNotCheck;
  }
  const RepairReport& report = repaired->report;
  const Fixed fixed{report.corruptions_fixed, report.leaks_fixed};
  if (fixed.corruptions != 0 || fixed.leaks != 0) {
    print_findings(report.found);
    if (options.output == Output::Human && !options.quiet) print_repairs(fixed);
  }
  return tell(options, repaired->format, report.left, fixed);
}

}  // namespace

void add_check_command(Program& program) {
  const auto options = std::make_shared<CheckOptions>();
  CLI::App* command = program.app.add_subcommand("check", "Look for damage in an image, and repair it");
  command->footer("Exit codes: 0 clean, 1 could not check, 2 corrupt, 3 leaked clusters only.");
  add_image_options(*command, options->image);
  add_output_option(*command, options->output);
  command->add_flag("--data", options->data, "Decode every compressed cluster as well");
  command->add_option("-r,--repair", options->repair, "leaks or all; without it nothing is changed")
      ->check(CLI::IsMember({"leaks", "all"}))
      ->type_name("WHAT");
  add_progress_option(*command, options->bar);
  command->add_flag("-q,--quiet", options->quiet, "Print only what is wrong");
  command->callback([&program, options] {
    program.chosen = [options] { return options->repair.empty() ? run_check(*options) : run_repair(*options); };
  });
}

}  // namespace flatimg::tools
