// fork, setsid, prctl and the service manager's socket.
#include "fuse/process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "base/log.h"

namespace flatimg::flat {

namespace {

#ifndef PR_SET_IO_FLUSHER
constexpr int PR_SET_IO_FLUSHER = 57;
#endif

void leave_terminal() {
  setsid();
  if (chdir("/") != 0) log(LogLevel::Warning, "cannot change to /");
  silence_streams();
  configure_log(LogTarget::Syslog, LogLevel::Info);
}

/// The descriptor with everything else above standard error closed: what the caller had open is not ours to hold.
Descriptor keep_only(Descriptor kept) {
  constexpr int kFirst = STDERR_FILENO + 1;
  if (kept.get() != kFirst) {
    if (dup3(kept.get(), kFirst, O_CLOEXEC) < 0) return kept;
    kept = Descriptor(kFirst);
  }
  close_range(kFirst + 1, ~0u, 0);
  return kept;
}

[[noreturn]] void answer_and_end(const Descriptor& to_parent, const std::function<std::string()>& question) {
  try {
    const std::string text = question();
    const auto written = ::write(to_parent.get(), text.data(), text.size());
    _exit(written == static_cast<ssize_t>(text.size()) ? 0 : 1);
  } catch (const std::exception&) {
    _exit(1);
  }
}

std::string read_all(const Descriptor& from) {
  constexpr std::size_t kMost = 16384;
  std::string text;
  std::array<char, 1024> bytes{};
  while (text.size() < kMost) {
    const ssize_t got = ::read(from.get(), bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(bytes.data(), static_cast<std::size_t>(got));
  }
  return text;
}

/// The first byte says that the child is ready, the rest is news.
ParentDone wait_for_verdict(Descriptor from_child, pid_t child) {
  const std::string said = read_all(from_child);
  if (!said.empty()) return {0, said.substr(1)};
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) return {WEXITSTATUS(status)};  // it has said why
  log(LogLevel::Error, "the helper process died before the mount was ready{}",
      WIFSIGNALED(status) ? fmt::format(" (signal {})", WTERMSIG(status)) : "");
  return {1};
}

}  // namespace

void Verdict::ready(std::string_view news) {
  if (!to_parent_.valid()) return;
  leave_terminal();
  const std::string text = "\1" + std::string(news);
  if (::write(to_parent_.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    log(LogLevel::Warning, "nobody waited for the mount to be ready");
  }
  to_parent_ = Descriptor();
}

std::variant<ParentDone, Verdict> fork_helper(Inherited inherited) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    log(LogLevel::Error, "{}", system_error(errno, "making a pipe").text);
    return ParentDone{1};
  }
  Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);
  const pid_t child = fork();
  if (child < 0) {
    log(LogLevel::Error, "{}", system_error(errno, "starting the helper process").text);
    return ParentDone{1};
  }
  if (child == 0) {
    reading = Descriptor();
    if (inherited == Inherited::Keep) return Verdict(std::move(writing));
    return Verdict(keep_only(std::move(writing)));
  }
  writing = Descriptor();
  return wait_for_verdict(std::move(reading), child);
}

Result<pid_t> fork_worker() {
  const pid_t supervisor = getpid();
  const pid_t worker = fork();
  if (worker < 0) return fail_os(errno, "starting the process that serves the image");
  if (worker > 0) return worker;
  setsid();
  prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
  if (getppid() != supervisor) _exit(1);  // it died before the line above
  return 0;
}

std::optional<std::string> ask_child(const std::function<std::string()>& question) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return std::nullopt;
  const Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);
  const pid_t child = fork();
  if (child < 0) return std::nullopt;
  if (child == 0) answer_and_end(writing, question);
  writing = Descriptor();
  std::string text = read_all(reading);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return std::nullopt;
  return text;
}

void close_all_but(std::vector<int> kept) {
  std::ranges::sort(kept);
  unsigned from = STDERR_FILENO + 1;
  for (const int one : kept) {
    if (one < static_cast<int>(from)) continue;
    if (one > static_cast<int>(from)) close_range(from, static_cast<unsigned>(one) - 1, 0);
    from = static_cast<unsigned>(one) + 1;
  }
  close_range(from, ~0u, 0);
}

void silence_streams() {
  const Descriptor nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(nothing.get(), stream);
}

void harden_process() {
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  prctl(PR_SET_IO_FLUSHER, 1, 0, 0,
        0);  // needs CAP_SYS_RESOURCE; without it everything but loop devices is as well off
}

void notify_service_manager(std::string_view line) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path == nullptr || path[0] == '\0' || std::strlen(path) >= sizeof(address.sun_path)) return;
  const std::size_t length = std::strlen(path);
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';  // an abstract socket
  const Descriptor socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  sendto(socket.get(), line.data(), line.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), size);
}

}  // namespace flatimg::flat
