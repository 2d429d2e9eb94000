// What fsx does to a disk, as plain data. A run is a list of operations, and so is any part of it: none relies on
// another, and what lies beyond the end of the disk is clipped when it is played. So a failing run can be made shorter.
//
// As text an operation is one line, "write 4096+512 #7", which parse() reads again.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace flatimg::test::fsx {

enum class Kind {
  Read,
  DirectRead,
  MappedRead,
  Write,
  DirectWrite,
  MappedWrite,
  Punch,
  ZeroRange,
  Allocate,  // fallocate without a mode: nothing changes for a reader
  Seek,      // SEEK_DATA and SEEK_HOLE
  Sync,
  DropCaches,  // the kernel's pages
  Reopen,
  Remount,
  Resize,  // the disk ends at `at`
  ReadAll,
  Spoil,  // writes what nobody remembers: a planted bug
};

inline constexpr std::array<std::string_view, 17> kNames = {
    "read",   "direct-read", "mapped-read", "write",    "direct-write", "mapped-write",
    "punch",  "zero-range",  "allocate",    "seek",     "sync",         "drop-caches",
    "reopen", "remount",     "resize",      "read-all", "spoil"};

struct Operation {
  Kind kind = Kind::Read;
  std::uint64_t at = 0;      // bytes
  std::uint64_t length = 0;  // bytes
  std::uint64_t number = 0;  // which bytes are written; unique in a run

  friend bool operator==(const Operation&, const Operation&) = default;
};

[[nodiscard]] std::string text_of(const Operation& operation);
/// Nothing when the line is none.
[[nodiscard]] std::optional<Operation> parse(const std::string& line);

/// The byte that an operation writes at a place of the disk. One of eight writes zeroes, one of eight the same byte all
/// over.
[[nodiscard]] std::byte byte_written(const Operation& operation, std::uint64_t place);

/// What may be done to a certain disk.
struct Bounds {
  std::uint64_t size = 0;      // bytes
  std::uint64_t grain = 1;     // bytes: of punched and zeroed ranges
  std::vector<Kind> left_out;  // what this disk cannot do
};

/// A run of its own for each seed: kinds are weighted, and some left out altogether.
[[nodiscard]] std::vector<Operation> random_run(std::uint64_t seed, const Bounds& bounds, std::size_t count);

}  // namespace flatimg::test::fsx
