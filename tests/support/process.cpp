#include "support/process.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <sstream>
#include <system_error>

namespace flatimg::test {

namespace {

std::array<int, 2> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe2");
  return ends;
}

[[noreturn]] void become(const std::vector<std::string>& command, int in, int out) {
  ::dup2(in, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(out, STDERR_FILENO);
  std::vector<char*> words;
  for (const auto& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  ::execvp(words[0], words.data());
  ::_exit(127);
}

std::string read_some(int from) {
  std::array<char, 4096> bytes{};
  ssize_t got = 0;
  do {
    got = ::read(from, bytes.data(), bytes.size());
  } while (got < 0 && errno == EINTR);
  return {bytes.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
}

void close_end(int& end) {
  if (end >= 0) ::close(end);
  end = -1;
}

}  // namespace

Finished run(const std::vector<std::string>& command) { return Conversation(command).finish(); }

bool has_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream directories(path == nullptr ? "" : path);
  for (std::string directory; std::getline(directories, directory, ':');) {
    if (::access((std::filesystem::path(directory) / name).c_str(), X_OK) == 0) return true;
  }
  return false;
}

Conversation::Conversation(const std::vector<std::string>& command) {
  auto in = make_pipe();
  auto out = make_pipe();
  process_ = ::fork();
  if (process_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (process_ == 0) become(command, in[0], out[1]);
  ::close(in[0]);
  ::close(out[1]);
  to_ = in[1];
  from_ = out[0];
}

Conversation::~Conversation() {
  if (process_ > 0) {
    ::kill(process_, SIGKILL);
    (void)finish();
  }
}

void Conversation::say(std::string_view line) {
  const std::string text = std::string(line) + "\n";
  if (::write(to_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    throw std::system_error(errno, std::generic_category(), "write to a child process");
  }
}

std::string Conversation::read_until(std::string_view mark) {
  std::string text;
  while (text.find(mark) == std::string::npos) {
    const std::string more = read_some(from_);
    if (more.empty()) break;
    text += more;
  }
  return text;
}

Finished Conversation::finish() {
  close_end(to_);
  Finished result;
  for (std::string more = read_some(from_); !more.empty(); more = read_some(from_)) result.output += more;
  close_end(from_);
  int status = 0;
  while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) {
  }
  process_ = -1;
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  return result;
}

}  // namespace flatimg::test
