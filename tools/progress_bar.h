// "(12.34/100%)" on one line, over and over, as qemu-img shows it: on a terminal, or wherever -p asks for it.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/progress.h"
#include "tools/commands.h"

namespace flatimg::tools {

class ProgressBar {
 public:
  enum class When { OnTerminal, Always, Never };
  explicit ProgressBar(When when);
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

  const bool visible_;
  bool begun_ = false;
  std::chrono::steady_clock::time_point last_;
};

/// -p: also where there is no terminal.
void add_progress_option(CLI::App& command, ProgressBar::When& when);

}  // namespace flatimg::tools
