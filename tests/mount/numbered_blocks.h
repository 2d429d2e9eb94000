// Blocks of a mounted disk, each filled with a number that only grows: what may be found in one after a death is
// between the last number that an fsync covered and the last one that was begun.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "support/process.h"
#include "support/temp_dir.h"

namespace flatimg::test {

class NumberedBlocks {
 public:
  static constexpr std::size_t kBlock = 4096;  // bytes
  static constexpr std::size_t kBlocks = 4096;

  explicit NumberedBlocks(std::uint64_t seed) : random_(seed) {}

  [[nodiscard]] std::mt19937_64& random() { return random_; }

  /// Writes anywhere, with an fsync now and then, until a call fails.
  void write_until_it_fails(const std::string& flat) {
    const int fd = ::open(flat.c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    std::vector<std::uint64_t> block(kBlock / sizeof(std::uint64_t));
    for (std::uint64_t n = 1;; ++n) {
      const std::size_t at = random_() % kBlocks;
      std::fill(block.begin(), block.end(), ++number_);
      begun_[at] = number_;
      if (::pwrite(fd, block.data(), kBlock, static_cast<off_t>(at * kBlock)) != static_cast<ssize_t>(kBlock)) break;
      acknowledged_[at] = number_;
      if (n % 16 == 0) {
        const auto covered = begun_;
        if (::fsync(fd) != 0) break;
        if (dying_) break;
        synced_ = covered;
        ++fsyncs_;
      }
    }
    ::close(fd);
  }

  /// The host begins to die now: what it says of an fsync from here on is not believed. (A file system that is shut
  /// down while an fsync is under way may call it a success, with a raw file just the same.)
  void host_is_dying() { dying_ = true; }

  /// Where the kernel keeps nothing back, and the helper ended in its own time: every write that succeeded counts. Not
  /// while writing.
  void count_what_was_acknowledged() { synced_ = acknowledged_; }

  /// What is found is what counts from now on.
  void expect_old_or_new(const std::string& flat) {
    const std::string content = contents_of(flat);
    ASSERT_GE(content.size(), kBlock * kBlocks);
    for (std::size_t at = 0; at < kBlocks; ++at) {
      std::uint64_t found = 0;
      std::memcpy(&found, content.data() + at * kBlock, sizeof found);
      EXPECT_GE(found, synced_[at]) << "block " << at << " lost what was fsynced";
      EXPECT_LE(found, begun_[at]) << "block " << at;
      begun_[at] = acknowledged_[at] = synced_[at] = found;
    }
    dying_ = false;
  }
  [[nodiscard]] std::uint64_t fsyncs() const { return fsyncs_; }

 private:
  std::atomic<bool> dying_ = false;
  std::mt19937_64 random_;
  std::uint64_t number_ = 0;
  std::uint64_t fsyncs_ = 0;
  std::vector<std::uint64_t> begun_ = std::vector<std::uint64_t>(kBlocks);
  std::vector<std::uint64_t> acknowledged_ = std::vector<std::uint64_t>(kBlocks);
  std::vector<std::uint64_t> synced_ = std::vector<std::uint64_t>(kBlocks);
};

}  // namespace flatimg::test
