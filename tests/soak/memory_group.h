// A memory cgroup for processes of a test, version 1 or 2, whichever is there and may be written. It goes with the
// object.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

#include "support/soon.h"
#include "support/temp_dir.h"

namespace flatimg::test {

class MemoryGroup {
 public:
  MemoryGroup() {
    for (const auto& [parent, version] : {std::pair{std::string("/sys/fs/cgroup/memory"), 1}, {own_group(), 2}}) {
      const std::string folder = parent + "/flatimg-test-" + std::to_string(::getpid());
      if (parent.empty() || ::mkdir(folder.c_str(), 0755) != 0) continue;
      folder_ = folder;
      version_ = version;
      if (std::filesystem::exists(folder_ + "/" + limit_file())) return;
      ::rmdir(folder_.c_str());
      folder_.clear();
    }
  }
  ~MemoryGroup() {
    if (!folder_.empty()) (void)soon([&] { return ::rmdir(folder_.c_str()) == 0 || errno == ENOENT; });
  }
  MemoryGroup(const MemoryGroup&) = delete;
  MemoryGroup& operator=(const MemoryGroup&) = delete;

  /// Empty when it can be used.
  [[nodiscard]] std::string why_not() const {
    return folder_.empty() ? "no memory cgroup can be made here" : std::string();
  }
  /// Of all memory, without swap. False when it is not taken.
  [[nodiscard]] bool limit(std::uint64_t bytes) const {
    const std::string swap = version_ == 1 ? "memory.memsw.limit_in_bytes" : "memory.swap.max";
    if (!write(limit_file(), std::to_string(bytes))) return false;
    return !std::filesystem::exists(folder_ + "/" + swap) || write(swap, version_ == 1 ? std::to_string(bytes) : "0");
  }
  /// Shell words by which a process goes there.
  [[nodiscard]] std::string enter() const { return "echo $$ > " + folder_ + "/cgroup.procs; "; }
  /// How often somebody in it was killed.
  [[nodiscard]] std::uint64_t kills() const {
    std::istringstream words(contents_of(folder_ + (version_ == 1 ? "/memory.oom_control" : "/memory.events")));
    std::uint64_t count = 0;
    for (std::string word; words >> word;) {
      if (word == "oom_kill" && words >> count) return count;
    }
    return 0;
  }
  /// The most that was in use at a time, in bytes; nothing where it is not told.
  [[nodiscard]] std::optional<std::uint64_t> peak() const {
    std::istringstream text(contents_of(folder_ + (version_ == 1 ? "/memory.max_usage_in_bytes" : "/memory.peak")));
    std::uint64_t bytes = 0;
    return text >> bytes ? std::optional(bytes) : std::nullopt;
  }

 private:
  static std::string own_group() {
    std::istringstream lines(contents_of("/proc/self/cgroup"));
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("0::")) return "/sys/fs/cgroup" + line.substr(3);
    }
    return {};
  }
  [[nodiscard]] std::string limit_file() const { return version_ == 1 ? "memory.limit_in_bytes" : "memory.max"; }
  [[nodiscard]] bool write(const std::string& file, const std::string& text) const {
    std::ofstream stream(folder_ + "/" + file);
    stream << text << std::flush;
    return stream.good();
  }

  std::string folder_;
  int version_ = 0;
};

}  // namespace flatimg::test
