// flatimg rebase: another backing file for an overlay, which goes on to show the same; with -u only its name changes.
#include <memory>

#include "base/text.h"
#include "catalog/backing.h"
#include "tools/image_change.h"
#include "tools/passphrase.h"
#include "tools/progress_bar.h"
#include "transfer/rebase.h"

namespace flatimg::tools {

namespace {

struct RebaseOptions {
  ChangeOptions image;
  ProgressBar::When bar = ProgressBar::When::OnTerminal;
  std::string backing;  // empty: none any more
  std::string backing_format;
  bool unsafe = false;

  [[nodiscard]] catalog::BackingRequest request() const {
    catalog::BackingRequest request{image.path, backing, std::nullopt, image.allowed_directories};
    if (!backing_format.empty()) request.format = backing_format;
    return request;
  }
};

Result<std::optional<catalog::FoundBacking>> find_backing(const RebaseOptions& options,
                                                          const catalog::BackingRequest& request) {
  if (options.backing.empty()) return std::optional<catalog::FoundBacking>();
  TRY(catalog::FoundBacking found, catalog::open_backing(request));
  if (!options.image.quiet) {
    for (const std::string& note : found.notes) complain(note);
  }
  return std::optional(std::move(found));
}

// The contents first, the name when they are safe.
Result<std::optional<catalog::BackingName>> move_contents(const RebaseOptions& options) {
  catalog::OpenRequest request = open_request(options.image);
  TRY(request.passphrase, passphrase_for(request, options.image.key_file));
  TRY(catalog::Opened opened, catalog::open_image(request));
  Disk overlay(std::move(opened.chain), {});
  catalog::BackingRequest backing = options.request();
  backing.passphrase = std::move(request.passphrase);
  TRY(std::optional<catalog::FoundBacking> found, find_backing(options, backing));
  std::optional<catalog::BackingName> name;
  std::unique_ptr<Disk> base;
  if (found) {
    name = catalog::BackingName{options.backing, found->opened.format};
    base = std::make_unique<Disk>(std::move(found->opened.chain), DiskOptions{});
  }
  {
    ProgressBar bar(options.image.quiet ? ProgressBar::When::Never : options.bar, ProgressBar::Unit::Bytes);
    CHECK(transfer::rebase(overlay, base.get(), bar.progress()));
  }
  CHECK(overlay.close());
  return name;
}

// The name alone. The file need not be there when its format is given.
Result<std::optional<catalog::BackingName>> name_only(const RebaseOptions& options) {
  if (options.backing.empty()) return std::optional<catalog::BackingName>();
  if (!options.backing_format.empty()) {
    return std::optional(catalog::BackingName{options.backing, options.backing_format});
  }
  catalog::BackingRequest request = options.request();
  request.content = catalog::OpenRequest::Content::NotNeeded;
  TRY(const auto found, find_backing(options, request));
  return std::optional(catalog::BackingName{options.backing, found->opened.format});
}

Result<void> rebase(const RebaseOptions& options) {
  CHECK(catalog::must_record_backing(options.image.path));
  TRY(const auto name, options.unsafe ? name_only(options) : move_contents(options));
  return catalog::record_backing(options.image.path, name);
}

int run_rebase(const RebaseOptions& options) {
  const auto done = rebase(options);
  return done ? 0 : complain(done.error());
}

}  // namespace

void add_rebase_command(Program& program) {
  const auto options = std::make_shared<RebaseOptions>();
  CLI::App* command = program.app.add_subcommand("rebase", "Give an overlay another backing file");
  command->footer(
      "The overlay shows the same afterwards: what the new backing file lacks is copied. With -u it is not.");
  add_change_options(*command, options->image);
  command->add_option("-b,--backing", options->backing, "The new backing file, relative to the image; \"\" for none")
      ->required();
  command->add_option("-F,--backing-format", options->backing_format, "Its format");
  command->add_flag("-u,--unsafe", options->unsafe, "Change the name only: for a backing file that was moved");
  add_progress_option(*command, options->bar);
  command->callback([&program, options] { program.chosen = [options] { return run_rebase(*options); }; });
}

}  // namespace flatimg::tools
