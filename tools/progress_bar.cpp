#include "tools/progress_bar.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

namespace flatimg::tools {

namespace {

constexpr std::chrono::milliseconds kBetween{100};

}  // namespace

ProgressBar::ProgressBar(When when)
    : visible_(when == When::Always || (when == When::OnTerminal && isatty(STDOUT_FILENO) != 0)) {}

ProgressBar::~ProgressBar() {
  if (begun_) fmt::print("\n");
}

void ProgressBar::show(std::uint64_t done, std::uint64_t all) {
  if (!visible_) return;
  const double percent = all == 0 ? 100 : 100.0 * static_cast<double>(done) / static_cast<double>(all);
  const auto now = std::chrono::steady_clock::now();
  if (begun_ && done < all && now - last_ < kBetween) return;
  last_ = now;
  begun_ = true;
  fmt::print("    ({:.2f}/100%)\r", percent);
  std::fflush(stdout);
}

void add_progress_option(CLI::App& command, ProgressBar::When& when) {
  command.add_flag_function(
      "-p,--progress", [&when](std::int64_t) { when = ProgressBar::When::Always; },
      "Show how far it has come, on a terminal or not");
}

}  // namespace flatimg::tools
