// flatimg compose: a composite disk of several images.
#include <memory>

#include "catalog/compose_image.h"
#include "tools/commands.h"

namespace flatimg::tools {

namespace {

struct ComposeOptions {
  std::string path;
  std::vector<std::string> parts;
  std::vector<std::string> allowed_directories;
  bool gpt = false;
  bool quiet = false;
};

Result<std::vector<std::string>> compose(const ComposeOptions& options) {
  catalog::ComposeRequest request;
  request.path = options.path;
  request.allowed_directories = options.allowed_directories;
  if (options.gpt) request.partitioning = catalog::ComposeRequest::Partitioning::Gpt;
  for (const std::string& text : options.parts) {
    TRY(catalog::PartRequest part, catalog::parse_part(text));
    request.parts.push_back(std::move(part));
  }
  return catalog::compose_image(request);
}

int run_compose(const ComposeOptions& options) {
  const auto notes = compose(options);
  if (!notes) return complain(notes.error());
  if (options.quiet) return 0;
  for (const std::string& note : *notes) complain(note);
  return 0;
}

}  // namespace

void add_compose_command(Program& program) {
  const auto options = std::make_shared<ComposeOptions>();
  CLI::App* command = program.app.add_subcommand("compose", "Make a composite disk of several images");
  command->footer("PART is LABEL:PATH[:writable][:GUID]. Parts that are not writable are read-only.");
  command->add_option("-O,--output", options->path, "The new disk")->type_name("FILE")->required();
  command->add_flag("--gpt", options->gpt, "A partition for each part: also makes FILE.header, .footer and .filler");
  command->add_option("--allow-path", options->allowed_directories, "Directory whose files the parts may name")
      ->type_name("DIR")
      ->delimiter(':')
      ->allow_extra_args(false);
  command->add_flag("-q,--quiet", options->quiet, "Print nothing but errors");
  command->add_option("PART", options->parts, "The parts, in order")->required();
  command->callback([&program, options] { program.chosen = [options] { return run_compose(*options); }; });
}

}  // namespace flatimg::tools
