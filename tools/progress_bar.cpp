#include "tools/progress_bar.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "tools/image_options.h"

namespace flatimg::tools {

namespace {

constexpr std::chrono::milliseconds kBetween{100};

}  // namespace

ProgressBar::ProgressBar(When when, Unit unit)
    : visible_(when == When::Always || (when == When::OnTerminal && isatty(STDOUT_FILENO) != 0)), unit_(unit) {}

ProgressBar::~ProgressBar() {
  if (begun_) fmt::print("\n");
}

void ProgressBar::show(std::uint64_t done, std::uint64_t all) {
  if (!visible_) return;
  const auto now = Clock::now();
  if (begun_ && done < all && now - last_ < kBetween) return;
  if (!begun_) first_ = now, first_done_ = done;
  begun_ = true;
  last_ = now;
  const double percent = all == 0 ? 100 : 100.0 * static_cast<double>(done) / static_cast<double>(all);
  const std::string beside = unit_ == Unit::Bytes ? fmt::format("{:<36}", rate(done, all, now)) : "";
  fmt::print("    ({:.2f}/100%){}\r", percent, beside);
  std::fflush(stdout);
}

std::string ProgressBar::rate(std::uint64_t done, std::uint64_t all, Clock::time_point now) const {
  const double seconds = std::chrono::duration<double>(now - first_).count();
  const auto moved = static_cast<double>(done - first_done_);
  if (seconds <= 0 || moved <= 0) return "";
  const double per_second = moved / seconds;
  std::string text = fmt::format("  {}/s", short_size(ByteCount(static_cast<std::uint64_t>(per_second))));
  if (done == all) return text;
  const auto left = static_cast<std::int64_t>(static_cast<double>(all - done) / per_second);
  return text + fmt::format(", {} left", short_time(std::chrono::seconds(left)));
}

std::string short_time(std::chrono::seconds time) {
  const auto seconds = time.count();
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{}:{:02} min", seconds / 60, seconds % 60);
  return fmt::format("{}:{:02}:{:02} h", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

void add_progress_option(CLI::App& command, ProgressBar::When& when) {
  command.add_flag_function(
      "-p,--progress", [&when](std::int64_t) { when = ProgressBar::When::Always; },
      "Show how far it has come, on a terminal or not");
}

}  // namespace flatimg::tools
