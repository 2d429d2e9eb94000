#include "tools/image_change.h"

#include "base/log.h"
#include "tools/passphrase.h"

namespace flatimg::tools {

void add_change_options(CLI::App& command, ChangeOptions& options) {
  command.add_option("-f,--format", options.format, "Format of the image; found by its first bytes otherwise");
  command.add_option("--allow-path", options.allowed_directories, "Directory whose files the image may name")
      ->type_name("DIR")
      ->delimiter(':')
      ->allow_extra_args(false);
  command.add_option("--key-file", options.key_file, "Passphrase or key of an encrypted image")->type_name("FILE");
  command.add_flag("-q,--quiet", options.quiet, "Say nothing when it went well");
  command.add_option("IMAGE", options.path, "The image")->required();
}

catalog::OpenRequest open_request(const ChangeOptions& options) {
  catalog::OpenRequest request;
  request.path = options.path;
  if (!options.format.empty()) request.format = options.format;
  request.allowed_directories = options.allowed_directories;
  request.read_only_if_need_be = false;
  return request;
}

Result<void> change_image(const ChangeOptions& options, const std::function<Result<void>(Disk&)>& change) {
  TRY(catalog::Opened opened, open_with_passphrase(open_request(options), options.key_file));
  for (const std::string& note : opened.notes) log(LogLevel::Warning, "{}", note);
  Disk disk(std::move(opened.chain), DiskOptions());
  const auto changed = change(disk);
  const auto closed = disk.close();
  return changed ? closed : changed;
}

}  // namespace flatimg::tools
