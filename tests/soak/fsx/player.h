// Does operations to a disk and to plain bytes, and finds where they differ.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "soak/fsx/disk_under_test.h"
#include "soak/fsx/operation.h"

namespace flatimg::test::fsx {

class Player {
 public:
  explicit Player(DiskUnderTest& disk);

  /// Throws a Finding when the disk is not what it should be.
  void play(const Operation& operation);
  [[nodiscard]] const std::vector<std::byte>& expected() const { return expected_; }

 private:
  void read(const Operation& what);
  void write(const Operation& what);
  void read_mapped(const Operation& what);
  void write_mapped(const Operation& what);
  void punch_or_zero(const Operation& what);
  void seek(const Operation& what);
  void resize(const Operation& what);
  void read_all();
  /// [from, to) of the disk must be zeroes.
  void expect_zeroes(std::uint64_t from, std::uint64_t to, const std::string& why) const;
  void compare(std::uint64_t at, std::span<const std::byte> found) const;
  [[nodiscard]] std::string origin_of(std::byte found, std::uint64_t place) const;
  [[nodiscard]] Operation clipped(Operation operation) const;
  [[nodiscard]] std::vector<std::byte> payload(const Operation& what) const;

  DiskUnderTest& disk_;
  std::vector<std::byte> expected_;
  std::vector<Operation> played_;
};

/// What went wrong in a run, and at which of its operations (one behind the last: at its end).
struct Failure {
  std::size_t at = 0;
  std::string what;
};
[[nodiscard]] std::optional<Failure> play_all(const Course& course, std::span<const Operation> run);

}  // namespace flatimg::test::fsx
