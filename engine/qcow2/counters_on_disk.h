// Refcounts straight from the file, for those who judge and correct them: no cache of an open image, no trust.
//
// Invariant: only what set() changed is written, in the block where it was read; no cluster is allocated, nothing else
// in the file is touched. Whoever calls set() knows that the blocks lie on nothing else.
#pragma once

#include <optional>
#include <vector>

#include "base/aligned_buffer.h"
#include "host/host_file.h"
#include "qcow2/layout.h"
#include "qcow2/refcount_block.h"

namespace flatimg::qcow2 {

class CountersOnDisk {
 public:
  /// Reads the refcount table (at most 8 MiB).
  static Result<CountersOnDisk> of(HostFile& file, const Header& header);

  /// The counter of a cluster; nullopt when its block is at an impossible place. Fast for rising numbers.
  Result<std::optional<std::uint64_t>> count_of(std::uint64_t cluster);

  /// The counters that need not be read from disk any more: from `cluster` to before end_at_hand(cluster), which is
  /// `cluster` when there are none.
  [[nodiscard]] std::uint64_t end_at_hand(std::uint64_t cluster) const {
    return cluster >= window_first_ && cluster < window_end_ ? window_end_ : cluster;
  }
  [[nodiscard]] std::uint64_t at_hand(std::uint64_t cluster) const {
    return read_counter(window_.view(window_bytes_), cluster - window_first_, layout_.refcount_order());
  }

  /// Corrects the counter of a cluster whose count_of() was asked for last and is not 0. Written by write_back(), or
  /// earlier.
  void set(std::uint64_t cluster, std::uint64_t count);
  Result<void> write_back();

  /// False when all counters from `cluster` to the end of its block are 0 because there is no block.
  [[nodiscard]] bool has_block(std::uint64_t cluster) const;
  /// The first cluster behind the block that covers this one.
  [[nodiscard]] std::uint64_t end_of_block(std::uint64_t cluster) const;

 private:
  CountersOnDisk(HostFile& file, const Header& header);
  [[nodiscard]] std::uint64_t block_at(std::uint64_t cluster) const;
  /// Where the counter is, in bytes from the beginning of its block.
  [[nodiscard]] ByteCount place_in_block(std::uint64_t cluster) const;
  Result<void> fill_window(std::uint64_t cluster);

  HostFile* file_;
  Layout layout_;
  std::vector<std::uint64_t> table_;
  // The counters of clusters [window_first_, window_end_), as they are on disk.
  AlignedBuffer window_;
  std::size_t window_bytes_;
  std::uint64_t window_first_ = 0;
  std::uint64_t window_end_ = 0;
  HostOffset window_at_;
  HostRange changed_{};  // within the window, from window_at_ on
};

}  // namespace flatimg::qcow2
