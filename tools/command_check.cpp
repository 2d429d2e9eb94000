// flatimg check: the verdict on an image. Exit codes: 0 clean, 1 could not check, 2 corrupt, 3 leaks only.
#include <memory>

#include "base/text.h"
#include "catalog/check_image.h"
#include "tools/image_options.h"

namespace flatimg::tools {

namespace {

using Json = nlohmann::ordered_json;

constexpr int kCouldNotCheck = 1;
constexpr int kCorrupt = 2;
constexpr int kLeaksOnly = 3;

struct CheckOptions {
  ImageOptions image;
  Output output = Output::Human;
};

void add_unless_zero(Json& object, const char* name, std::uint64_t value) {
  if (value != 0) object[name] = value;
}

Json json_of(const CheckOptions& options, const catalog::CheckedImage& checked) {
  const CheckReport& report = checked.report;
  Json object{{"filename", options.image.path}, {"format", checked.format}, {"check-errors", report.check_errors}};
  add_unless_zero(object, "image-end-offset", report.image_end.value());
  add_unless_zero(object, "corruptions", report.corruptions);
  add_unless_zero(object, "leaks", report.leaks);
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

void print_verdict(const CheckReport& report) {
  if (report.corruptions == 0 && report.leaks == 0 && report.check_errors == 0) {
    fmt::print("No errors were found on the image.\n");
  }
  if (report.corruptions != 0) {
    fmt::print("{} errors: data may be wrong, or become wrong when the image is written.\n", report.corruptions);
  }
  if (report.leaks != 0) {
    fmt::print("{} leaked clusters: they waste space, no data is in danger.\n", report.leaks);
  }
  if (report.check_errors != 0) fmt::print("{} places could not be checked.\n", report.check_errors);
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

int run_check(const CheckOptions& options) {
  const auto checked = catalog::check_image(options.image.request());
  if (!checked) {
    complain(checked.error());
    return kCouldNotCheck;
  }
  print_findings(checked->report);
  options.output == Output::Json ? print_json(json_of(options, *checked)) : print_verdict(checked->report);
  return exit_code_for(checked->report);
}

}  // namespace

void add_check_command(Program& program) {
  const auto options = std::make_shared<CheckOptions>();
  CLI::App* command = program.app.add_subcommand("check", "Look for damage in an image; changes nothing");
  command->footer("Exit codes: 0 clean, 1 could not check, 2 corrupt, 3 leaked clusters only.");
  add_image_options(*command, options->image);
  add_output_option(*command, options->output);
  command->callback([&program, options] { program.chosen = [options] { return run_check(*options); }; });
}

}  // namespace flatimg::tools
