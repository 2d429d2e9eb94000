#include "tools/image_change.h"

#include "base/log.h"
#include "tools/passphrase.h"

namespace flatimg::tools {

void add_change_options(CLI::App& command, ChangeOptions& options) {
  add_image_choice(command, options);
  command.add_flag("-q,--quiet", options.quiet, "Say nothing when it went well");
}

catalog::OpenRequest open_request(const ChangeOptions& options) {
  catalog::OpenRequest request = open_request(static_cast<const ImageChoice&>(options));
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
