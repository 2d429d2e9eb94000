// Running it: what it writes to standard error is read, and the descriptor of a mount comes back over a socket whose
// number it finds in its environment.
#include "fuse/fusermount.h"

#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <sstream>

#include "base/text.h"
#include "fuse/channel.h"

namespace flatimg::flat {

namespace {

constexpr const char* kProgram = "fusermount3";
constexpr const char* kSocketVariable = "_FUSE_COMMFD";
constexpr int kSocketNumber = 3;  // in the child

/// The child's standard error; its socket as kSocketNumber; no signal blocked, whatever the caller has blocked.
class Preparations {
 public:
  Preparations(const Descriptor& errors, const Descriptor& socket) {
    posix_spawn_file_actions_init(&files_);
    posix_spawnattr_init(&attributes_);
    posix_spawn_file_actions_adddup2(&files_, errors.get(), STDERR_FILENO);
    if (socket.valid()) posix_spawn_file_actions_adddup2(&files_, socket.get(), kSocketNumber);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK);
  }
  ~Preparations() {
    posix_spawn_file_actions_destroy(&files_);
    posix_spawnattr_destroy(&attributes_);
  }
  Preparations(const Preparations&) = delete;
  Preparations& operator=(const Preparations&) = delete;

  /// The process, or an errno.
  int spawn(pid_t& child, char* const* words, char* const* environment) const {
    return posix_spawnp(&child, kProgram, &files_, &attributes_, words, environment);
  }

 private:
  posix_spawn_file_actions_t files_{};
  posix_spawnattr_t attributes_{};
};

std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> environment_with(const std::string& variable) {
  std::vector<std::string> variables;
  for (char** one = environ; *one != nullptr; ++one) variables.emplace_back(*one);
  if (!variable.empty()) variables.push_back(variable);
  return variables;
}

/// In one line, without the program's name.
std::string said(const Descriptor& errors) {
  std::array<char, 2048> bytes{};
  if (lseek(errors.get(), 0, SEEK_SET) != 0) return {};
  const ssize_t got = ::read(errors.get(), bytes.data(), bytes.size());
  std::string line(bytes.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  while (line.ends_with('\n')) line.pop_back();
  std::ranges::replace(line, '\n', ';');
  const auto name = line.find("fusermount3: ");
  if (name != std::string::npos && line.find(' ') > name) line.erase(0, name + std::strlen("fusermount3: "));
  return line;
}

Result<void> run(std::vector<std::string> words, const Descriptor& socket) {
  const Descriptor errors(memfd_create("errors", MFD_CLOEXEC));
  words.insert(words.begin(), kProgram);
  auto environment = environment_with(socket.valid() ? fmt::format("{}={}", kSocketVariable, kSocketNumber) : "");
  pid_t child = 0;
  const int failed =
      Preparations(errors, socket).spawn(child, pointers_to(words).data(), pointers_to(environment).data());
  if (failed != 0) return fail_os(failed, "running {} (package fuse3)", kProgram);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  const std::string why = said(errors);
  return fail(ErrorKind::Denied, "{}: {}", kProgram, why.empty() ? "no reason was given" : why);
}

}  // namespace

Result<void> run_fusermount(std::vector<std::string> words) { return run(std::move(words), Descriptor()); }

Result<Descriptor> mount_with_fusermount(const std::string& mountpoint, const std::string& options) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return fail_os(errno, "making a socket");
  const Descriptor ours(ends[0]);
  Descriptor theirs(ends[1]);
  CHECK(run({"-o", options, "--", mountpoint}, theirs));
  theirs = Descriptor();
  Descriptor connection = receive_descriptor(ours);
  if (!connection.valid()) return fail(ErrorKind::Io, "{}: it sent no connection", kProgram);
  return connection;
}

std::string path_of_fusermount() {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::string program = folder + "/" + kProgram;
    if (::access(program.c_str(), X_OK) == 0) return program;
  }
  return {};
}

}  // namespace flatimg::flat
