// The parts of the census that judge single entries: what an L2 entry references, and whether that is in the file.
#pragma once

#include <string_view>

#include "qcow2/census.h"
#include "qcow2/header.h"

namespace flatimg::qcow2 {

/// Whether a standard or extended entry (not a compressed one) names a host cluster.
[[nodiscard]] inline bool names_host_cluster(const Header& header, Entry entry) {
  const bool at_zero_of_data_file = header.has(incompatible::kDataFile) && (entry.word & kCopied) != 0 &&
                                    ((entry.word & kZeroFlag) == 0 || header.has(incompatible::kExtendedL2));
  return (entry.word & kOffsetMask) != 0 || at_zero_of_data_file;
}

/// Whether an entry that names a host cluster keeps nothing there: it reads as zeroes (or from below) throughout.
[[nodiscard]] inline bool reserves_only(const Header& header, Entry entry) {
  if (header.has(incompatible::kExtendedL2)) return (entry.bitmap & kAllAllocatedBitmap) == 0;
  return header.version >= 3 && (entry.word & kZeroFlag) != 0;
}

/// Counts the clusters of host ranges, unless they lie beyond the end of the file.
class RangeCount {
 public:
  RangeCount(ByteCount file_size, ByteCount cluster, Census& census)
      : file_size_(file_size), cluster_(cluster), census_(census) {}

  /// `times` references to every cluster that the range touches. False, with a finding, when the range ends a cluster
  /// or more beyond the end of the file (the last cluster need not be complete).
  bool add(HostRange range, std::uint64_t times, std::string_view what);

  /// How many clusters of the file are complete.
  [[nodiscard]] std::uint64_t whole_clusters() const { return file_size_ / cluster_; }

 private:
  void note_behind_file(HostRange range);

  ByteCount file_size_;
  ByteCount cluster_;
  Census& census_;
};

/// One L2 table, read in pieces from its beginning.
class L2Census {
 public:
  L2Census(const Header& header, const L2Use& use, Census& census, RangeCount& count);

  /// The next piece; whole entries.
  void read(std::span<const std::byte> piece);

 private:
  void read_standard(std::span<const std::byte> piece);
  bool note_quickly(std::uint64_t word);
  void note_naming(std::uint64_t word);
  void note(Entry entry);
  void note_compressed(Entry entry);
  void note_unallocated(Entry entry);
  void note_host_cluster(Entry entry);
  void note_neighbours(std::uint64_t host);
  template <class... Args>
  void corruption(fmt::format_string<Args...> format, Args&&... args) {
    census_.findings.corruption(use_.all(), format, std::forward<Args>(args)...);
  }

  const Header& header_;
  Layout layout_;
  const L2Use& use_;
  Census& census_;
  RangeCount& count_;
  std::uint64_t whole_clusters_;   // of the file, where note_quickly() may be tried; else 0
  std::uint64_t next_in_row_ = 0;  // where the next cluster would not be fragmented; 0 before the first one
};

}  // namespace flatimg::qcow2
