#include "hostile/cage.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>

namespace flatimg::test {

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

constexpr unsigned kMostSeconds = 20;

// Address space is limited beside resident memory, so that what is only claimed counts as well. A thread's stack and
// the libraries' own needs come on top.
void limit_memory() {
  if (kSanitized) return;
  (void)::mallopt(M_ARENA_MAX, 1);
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const rlim_t bytes = pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + kCageMemory.value() + (16u << 20);
  const rlimit limit{bytes, bytes};
  (void)::setrlimit(RLIMIT_AS, &limit);
}

std::int64_t peak_kilobytes() {
  rusage usage{};
  (void)::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

// One line: kind, error, seconds, kilobytes; then the text.
void report(int pipe, const std::function<Result<void>()>& work) {
  limit_memory();
  const auto begin = std::chrono::steady_clock::now();
  const std::int64_t before = peak_kilobytes();
  const auto result = work();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  const std::string message =
      fmt::format("{} {} {} {}\n{}", result ? 0 : 1, result ? 0 : static_cast<int>(result.error().kind), took.count(),
                  peak_kilobytes() - before, result ? "" : result.error().text);
  if (::write(pipe, message.data(), message.size()) < 0) ::_exit(1);
}

std::string read_all(int pipe) {
  std::string all;
  char bytes[4096];
  for (ssize_t got = 0; (got = ::read(pipe, bytes, sizeof bytes)) > 0;)
    all.append(bytes, static_cast<std::size_t>(got));
  return all;
}

Verdict parsed(const std::string& message) {
  Verdict verdict;
  int kind = 0;
  int error = 0;
  long kilobytes = 0;
  if (std::sscanf(message.c_str(), "%d %d %lf %ld", &kind, &error, &verdict.seconds, &kilobytes) != 4) return verdict;
  verdict.kind = kind == 0 ? Verdict::Kind::Success : Verdict::Kind::Failure;
  verdict.error = static_cast<ErrorKind>(error);
  verdict.memory = ByteCount(static_cast<std::uint64_t>(std::max(0L, kilobytes)) << 10);
  verdict.text = message.substr(message.find('\n') + 1);
  return verdict;
}

}  // namespace

Verdict in_cage(const std::function<Result<void>()>& work) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {};
  const pid_t child = ::fork();
  if (child == 0) {
    (void)::alarm(kMostSeconds);
    report(ends[1], work);
    ::_exit(0);
  }
  ::close(ends[1]);
  Verdict verdict = parsed(read_all(ends[0]));
  ::close(ends[0]);
  int status = 0;
  (void)::waitpid(child, &status, 0);
  if (status != 0) {
    verdict.kind = Verdict::Kind::Death;
    verdict.text = fmt::format("ended with wait status {:#x}", status);
  }
  return verdict;
}

std::string complaint_about(const Verdict& verdict) {
  if (verdict.kind == Verdict::Kind::Death) return verdict.text.empty() ? "it died" : verdict.text;
  if (verdict.kind == Verdict::Kind::Failure) {
    if (verdict.text.empty()) return "an error without words";
    if (verdict.text.find('\n') != std::string::npos) return "more than one line: " + verdict.text;
  }
  if (verdict.seconds > kCageSeconds) return fmt::format("it took {} s", verdict.seconds);
  if (!kSanitized && verdict.memory > kCageMemory) return fmt::format("it took {} bytes", verdict.memory.value());
  return {};
}

void PrintTo(const Verdict& verdict, std::ostream* out) {
  constexpr std::array names{"success", "failure", "death"};
  *out << names[static_cast<std::size_t>(verdict.kind)] << " (error kind " << static_cast<int>(verdict.error) << ") "
       << verdict.text;
}

}  // namespace flatimg::test
