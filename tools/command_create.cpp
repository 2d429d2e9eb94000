// flatimg create: a new image.
#include <memory>

#include "base/text.h"
#include "catalog/create_image.h"
#include "catalog/create_options.h"
#include "catalog/encrypt_options.h"
#include "tools/commands.h"
#include "tools/format_options.h"
#include "tools/passphrase.h"

namespace flatimg::tools {

namespace {

struct CreateArguments {
  std::string path;
  std::string size;
  std::string format = "raw";
  std::string backing;
  std::string backing_format;
  std::vector<std::string> options;
  std::vector<std::string> allowed_directories;
  std::string key_file;
  bool quiet = false;
};

Result<catalog::CreateRequest> request_from(const CreateArguments& arguments) {
  catalog::CreateRequest request;
  request.path = arguments.path;
  request.format = arguments.format;
  request.allowed_directories = arguments.allowed_directories;
  if (!arguments.backing.empty()) request.backing = arguments.backing;
  if (!arguments.backing_format.empty()) request.backing_format = arguments.backing_format;
  TRY(request.options, format_options(arguments.options));
  if (!arguments.size.empty()) {
    request.size = catalog::parse_size(arguments.size);
    if (!request.size) {
      return fail(ErrorKind::BadUsage, "{}: not a size: use a number of bytes or one with a suffix K M G T P E",
                  shown(arguments.size));
    }
  }
  return request;
}

int run_create(const CreateArguments& arguments) {
  auto request = request_from(arguments);
  if (!request) return complain(request.error());
  if (catalog::makes_encrypted(*request)) {
    auto passphrase = new_passphrase(arguments.path, arguments.key_file);
    if (!passphrase) return complain(passphrase.error());
    request->passphrase = *std::move(passphrase);
  }
  const auto notes = catalog::create_image(*request);
  if (!notes) return complain(notes.error());
  if (!arguments.quiet) {
    for (const std::string& note : *notes) complain(note);
  }
  return 0;
}

}  // namespace

void add_create_command(Program& program) {
  const auto arguments = std::make_shared<CreateArguments>();
  CLI::App* command = program.app.add_subcommand("create", "Make a new image");
  command->add_option("-f,--format", arguments->format, "qcow2, qcow or raw (default raw)");
  add_format_options(*command, arguments->options);
  command->add_option("-b,--backing", arguments->backing, "Backing file, relative to the new image's directory");
  command->add_option("-F,--backing-format", arguments->backing_format, "Format of the backing file");
  command->add_option("--allow-path", arguments->allowed_directories, "Directory where the backing file may be")
      ->type_name("DIR")
      ->delimiter(':')
      ->allow_extra_args(false);
  command->add_option("--key-file", arguments->key_file, "Passphrase of the new image, with -o encrypt.format=...")
      ->type_name("FILE");
  command->add_flag("-q,--quiet", arguments->quiet, "Print nothing but errors");
  command->add_option("IMAGE", arguments->path, "The new image")->required();
  command->add_option("SIZE", arguments->size, "Size of the disk; that of the backing file otherwise");
  command->callback([&program, arguments] { program.chosen = [arguments] { return run_create(*arguments); }; });
}

}  // namespace flatimg::tools
