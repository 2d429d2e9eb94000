// "(12.34/100%)" on one line, over and over, as qemu-img shows it: on a terminal, or wherever -p asks for it. Where
// bytes are counted also how many of them in a second, and how long it will take at that rate.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/progress.h"
#include "tools/commands.h"

namespace flatimg::tools {

class ProgressBar {
 public:
  enum class When { OnTerminal, Always, Never };
  /// What the numbers count.
  enum class Unit { Steps, Bytes };
  explicit ProgressBar(When when, Unit unit = Unit::Steps);
  /// Ends the line, if there is one.
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// What the bar is told; shown at most some times a second. Not longer than the bar lives.
  [[nodiscard]] Progress progress() {
    return [this](std::uint64_t done, std::uint64_t all) { show(done, all); };
  }

 private:
  void show(std::uint64_t done, std::uint64_t all);

  using Clock = std::chrono::steady_clock;
  [[nodiscard]] std::string rate(std::uint64_t done, std::uint64_t all, Clock::time_point now) const;

  const bool visible_;
  const Unit unit_;
  bool begun_ = false;
  std::uint64_t first_done_ = 0;  // when it was shown for the first time: what was skipped until then took no time
  Clock::time_point first_;
  Clock::time_point last_;
};

/// "8 s", "2:05 min", "1:02:05 h".
[[nodiscard]] std::string short_time(std::chrono::seconds time);

/// -p: also where there is no terminal.
void add_progress_option(CLI::App& command, ProgressBar::When& when);

}  // namespace flatimg::tools
