// The frames of a file that hold a part of the disk, in order.
//
// Invariants:
//   1. No frame of the list is empty; together they are the disk, without gaps.
//   2. A frame takes 16 bytes of memory, 4 more with a checksum, and a share of the sums: every kStride-th frame is
//      found by binary search, those in between by adding up.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/range.h"
#include "base/result.h"

namespace flatimg::seekable_zstd {

struct Frame {
  HostRange stored;
  ByteCount content;
  std::optional<std::uint32_t> checksum;  // low half of the content's XXH64
};

class Frames {
 public:
  /// Adds a frame behind the others. Limit when the list or the disk becomes too long. Frames without content are
  /// passed over. Either all frames have a checksum, or none has.
  Result<void> append(const Frame& frame);

  [[nodiscard]] std::size_t count() const { return entries_.size(); }
  [[nodiscard]] Frame frame(std::size_t index) const;
  [[nodiscard]] bool have_checksums() const { return !checksums_.empty(); }
  /// Size of the disk.
  [[nodiscard]] ByteCount size() const { return size_; }
  /// The most that one frame holds.
  [[nodiscard]] ByteCount largest() const { return largest_; }

  struct Place {
    std::size_t index = 0;
    GuestRange where;
  };
  /// The frame that holds a byte of the disk.
  [[nodiscard]] Place at(GuestOffset at) const;

 private:
  static constexpr std::size_t kStride = 32;

  struct Entry {
    std::uint64_t at = 0;
    std::uint32_t stored = 0;
    std::uint32_t content = 0;
  };
  std::vector<Entry> entries_;
  std::vector<std::uint64_t> begins_;  // of every kStride-th frame, in the disk
  std::vector<std::uint32_t> checksums_;
  ByteCount size_;
  ByteCount largest_;
};

}  // namespace flatimg::seekable_zstd
