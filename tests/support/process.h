// Other programs: run to their end, or talked to while they hold a file.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace flatimg::test {

struct Finished {
  int exit_code = -1;  // -1: ended by a signal
  std::string output;  // standard output and standard error together
};

/// Runs a program of $PATH (exit code 127 when there is none).
Finished run(const std::vector<std::string>& command);

/// True when $PATH has it: a test that needs it is skipped otherwise.
[[nodiscard]] bool has_program(const std::string& name);

/// A program that runs beside the test until finish() or the end of this object.
class Conversation {
 public:
  explicit Conversation(const std::vector<std::string>& command);
  ~Conversation();
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  void say(std::string_view line);
  /// Reads until the output contains `mark` or ends; returns what was read.
  std::string read_until(std::string_view mark);
  /// Closes its standard input, reads the rest and waits for its end.
  Finished finish();

  [[nodiscard]] pid_t process() const { return process_; }

 private:
  pid_t process_ = -1;
  int to_ = -1;
  int from_ = -1;
};

}  // namespace flatimg::test
