// flatimg doctor: what this machine offers, and what to do about what is missing.
#include <algorithm>
#include <memory>

#include "fuse/machine.h"
#include "tools/commands.h"
#include "tools/image_options.h"

namespace flatimg::tools {

namespace {

nlohmann::ordered_json as_json(const flat::Machine& machine) {
  auto findings = nlohmann::ordered_json::array();
  for (const flat::Finding& finding : machine.findings) {
    nlohmann::ordered_json one{{"name", finding.name}, {"available", finding.there}, {"detail", finding.detail}};
    if (!finding.there && !finding.way_out.empty()) one["way-out"] = finding.way_out;
    findings.push_back(std::move(one));
  }
  return {{"can-mount", machine.can_mount}, {"findings", std::move(findings)}};
}

void print_table(const flat::Machine& machine) {
  std::size_t width = 0;
  for (const flat::Finding& finding : machine.findings) width = std::max(width, finding.name.size());
  for (const flat::Finding& finding : machine.findings) {
    fmt::print("{:<{}}  {:<3}  {}\n", finding.name, width, finding.there ? "yes" : "no", finding.detail);
    if (!finding.there && !finding.way_out.empty()) fmt::print("{:{}}-> {}\n", "", width + 7, finding.way_out);
  }
}

int run_doctor(Output output) {
  const flat::Machine machine = flat::examine_machine();
  if (output == Output::Json) {
    print_json(as_json(machine));
  } else {
    print_table(machine);
  }
  return machine.can_mount ? 0 : 1;
}

}  // namespace

void add_doctor_command(Program& program) {
  CLI::App* command = program.app.add_subcommand("doctor", "Show what this machine offers, and what is missing");
  auto output = std::make_shared<Output>(Output::Human);
  add_output_option(*command, *output);
  command->footer("Exit status: 0 when mounting works, 1 when it does not.");
  command->callback([&program, output] { program.chosen = [output] { return run_doctor(*output); }; });
}

}  // namespace flatimg::tools
