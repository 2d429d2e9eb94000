// "(12.34/100%)" on one line, over and over, as qemu-img shows it: on a terminal, or wherever -p asks for it.
#pragma once

#include <chrono>
#include <cstdint>

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

  /// At most some times a second. One thread at a time.
  void show(std::uint64_t done, std::uint64_t all);

 private:
  const bool visible_;
  bool begun_ = false;
  std::chrono::steady_clock::time_point last_;
};

/// -p: also where there is no terminal.
void add_progress_option(CLI::App& command, ProgressBar::When& when);

}  // namespace flatimg::tools
