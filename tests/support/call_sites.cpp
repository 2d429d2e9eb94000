#include "support/call_sites.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace flatimg::test {

namespace {

/// "PROGRAM KIND ENDED ADDRESS...", the addresses as addr2line takes them: the doubles and decorators, and behind them
/// the engine.
class CallSites {
 public:
  explicit CallSites(const char* path) : path_(path) {}
  CallSites(const CallSites&) = delete;
  CallSites& operator=(const CallSites&) = delete;
  ~CallSites() {
    const int fd = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    const std::string program = std::filesystem::read_symlink("/proc/self/exe");
    for (const Stack& stack : seen_) {
      const std::string line = program + told(stack);
      if (::write(fd, line.data(), line.size()) != static_cast<ssize_t>(line.size())) break;
    }
    ::close(fd);
  }

  void note(unsigned kind, CallEnded ended) {
    std::array<void*, 16> frames{};
    const int count = ::backtrace(frames.data(), static_cast<int>(frames.size()));
    Stack stack{kind, ended == CallEnded::Failed ? 1u : 0u};
    for (int n = 0; n < count; ++n)
      stack.push_back(reinterpret_cast<std::uintptr_t>(frames.at(static_cast<unsigned>(n))));
    const std::lock_guard lock(mutex_);
    seen_.insert(std::move(stack));
  }

 private:
  using Stack = std::vector<std::uintptr_t>;  // kind, ended, return addresses

  static std::string told(const Stack& stack) {
    std::string line = fmt::format(" {} {}", stack[0], stack[1]);
    for (std::size_t n = 2; n < stack.size(); ++n) {
      Dl_info info{};
      const bool known = ::dladdr(reinterpret_cast<void*>(stack[n]), &info) != 0;
      const auto base = known ? reinterpret_cast<std::uintptr_t>(info.dli_fbase) : 0;
      line += fmt::format(" {:x}", stack[n] - base - 1);  // within the call
    }
    return line + "\n";
  }

  const std::string path_;
  std::mutex mutex_;  // guards what follows
  std::set<Stack> seen_;
};

}  // namespace

void note_call_site(unsigned kind, CallEnded ended) {
  static const char* const path = std::getenv("FLATIMG_CALL_SITES");
  if (path == nullptr) return;
  static CallSites sites(path);
  sites.note(kind, ended);
}

}  // namespace flatimg::test
