// How often each kind of request came from the kernel, and how long it took.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

#include "fuse/latency.h"

namespace flatimg::flat {

enum class Request : unsigned char {
  Lookup,
  Getattr,
  Setattr,
  Open,
  Read,
  Write,
  Flush,
  Fsync,
  Release,
  Opendir,
  Readdir,
  Statfs,
  Lseek,
  Fallocate,
};

inline constexpr std::array<std::string_view, 14> kRequestNames{"lookup",  "getattr", "setattr", "open",     "read",
                                                                "write",   "flush",   "fsync",   "release",  "opendir",
                                                                "readdir", "statfs",  "lseek",   "fallocate"};

class RequestCounters {
 public:
  void count(Request request) { counts_[static_cast<std::size_t>(request)].fetch_add(1, std::memory_order_relaxed); }
  /// It has been answered.
  void took(Request request, std::chrono::nanoseconds time) { times_[static_cast<std::size_t>(request)].record(time); }
  /// How many have come, and how many of them have been answered.
  [[nodiscard]] std::uint64_t begun() const {
    std::uint64_t all = 0;
    for (const auto& count : counts_) all += count;
    return all;
  }
  [[nodiscard]] std::uint64_t answered() const {
    std::uint64_t all = 0;
    for (const Latency& latency : times_) all += latency.count();
    return all;
  }
  void add_read(std::uint64_t bytes) { bytes_read_.fetch_add(bytes, std::memory_order_relaxed); }
  void add_written(std::uint64_t bytes) { bytes_written_.fetch_add(bytes, std::memory_order_relaxed); }
  void add_error() { errors_.fetch_add(1, std::memory_order_relaxed); }

  [[nodiscard]] std::uint64_t count_of(std::size_t request) const { return counts_[request]; }
  [[nodiscard]] const Latency& latency_of(std::size_t request) const { return times_[request]; }
  [[nodiscard]] std::uint64_t bytes_read() const { return bytes_read_; }
  [[nodiscard]] std::uint64_t bytes_written() const { return bytes_written_; }
  [[nodiscard]] std::uint64_t errors() const { return errors_; }

 private:
  std::array<std::atomic<std::uint64_t>, kRequestNames.size()> counts_{};
  std::array<Latency, kRequestNames.size()> times_{};
  std::atomic<std::uint64_t> bytes_read_{0};
  std::atomic<std::uint64_t> bytes_written_{0};
  std::atomic<std::uint64_t> errors_{0};
};

}  // namespace flatimg::flat
