// flatimg commit: what an overlay holds goes into its backing file.
#include <memory>

#include "base/text.h"
#include "catalog/backing.h"
#include "tools/image_change.h"
#include "tools/passphrase.h"
#include "tools/progress_bar.h"
#include "transfer/commit.h"

namespace flatimg::tools {

namespace {

struct CommitOptions {
  ChangeOptions image;
  ProgressBar::When bar = ProgressBar::When::OnTerminal;
  bool keep = false;
};

Result<void> write_down(const CommitOptions& options) {
  catalog::OpenRequest request = open_request(options.image);
  request.behind = catalog::Behind::Separately;
  TRY(catalog::Opened opened, open_with_passphrase(request, options.image.key_file));
  if (opened.base.empty()) {
    return fail(ErrorKind::BadUsage, "{}: it has no backing file to commit to", shown(options.image.path));
  }
  Disk overlay(std::move(opened.chain), {});
  Disk base(std::move(opened.base), {});
  {
    ProgressBar bar(options.image.quiet ? ProgressBar::When::Never : options.bar, ProgressBar::Unit::Bytes);
    CHECK(transfer::commit(overlay, base, bar.progress()));
  }
  CHECK(base.close());
  if (!options.keep) CHECK(overlay.empty());
  return overlay.close();
}

Result<void> commit(const CommitOptions& options) {
  CHECK(write_down(options));
  return catalog::renew_facts(options.image.path);
}

int run_commit(const CommitOptions& options) {
  if (const auto done = commit(options); !done) return complain(done.error());
  if (!options.image.quiet) fmt::print("Image committed.\n");
  return 0;
}

}  // namespace

void add_commit_command(Program& program) {
  const auto options = std::make_shared<CommitOptions>();
  CLI::App* command = program.app.add_subcommand("commit", "Write what an overlay holds into its backing file");
  command->footer("The overlay is empty afterwards, and shows the same.");
  add_change_options(*command, options->image);
  command->add_flag("-d", options->keep, "Leave the overlay as it is");
  add_progress_option(*command, options->bar);
  command->callback([&program, options] { program.chosen = [options] { return run_commit(*options); }; });
}

}  // namespace flatimg::tools
