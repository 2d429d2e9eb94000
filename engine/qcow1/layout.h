// The arithmetic of a qcow image: which table entry belongs to a guest offset, and what an entry says (sheet section
// 2). Pure functions on numbers.
//
// Invariant: nothing here trusts a number of the image: offsets are told as they are, and judged by who uses them.
#pragma once

#include <cstdint>

#include "base/range.h"
#include "qcow1/header.h"

namespace flatimg::qcow1 {

inline constexpr std::uint64_t kCompressed = std::uint64_t{1} << 63;
inline constexpr ByteCount kSector{512};  // what a data cluster and an L2 table are aligned to, at least

enum class Kind : unsigned char {
  Unallocated,  // the backing file answers, or zeroes
  Data,
  Compressed,
};

/// What an L2 entry says.
struct Meaning {
  Kind kind = Kind::Unallocated;
  HostOffset host;   // of Data and Compressed
  ByteCount length;  // in the file: a cluster, or exactly the bytes of the stream

  [[nodiscard]] HostRange range() const { return {host, length}; }
};

class Layout {
 public:
  explicit Layout(const Header& header)
      : cluster_bits_(header.cluster_bits), cluster_(header.cluster()), entries_(header.l2_entries()) {}

  [[nodiscard]] ByteCount cluster() const { return cluster_; }
  [[nodiscard]] std::uint64_t entries_per_table() const { return entries_; }
  [[nodiscard]] ByteCount table_bytes() const { return ByteCount(8 * entries_); }
  /// Bytes of guest that one L1 entry spans.
  [[nodiscard]] ByteCount span() const { return cluster_ * entries_; }
  [[nodiscard]] std::uint64_t l1_index(GuestOffset at) const { return at / span(); }
  [[nodiscard]] std::uint64_t l2_index(GuestOffset at) const { return (at % span()) / cluster_; }

  [[nodiscard]] Meaning meaning(std::uint64_t entry) const {
    if (entry == 0) return {};
    if ((entry & kCompressed) == 0) return {Kind::Data, HostOffset(entry), cluster_};
    const unsigned offset_bits = 63 - cluster_bits_;
    return {Kind::Compressed, HostOffset(entry & ((std::uint64_t{1} << offset_bits) - 1)),
            ByteCount(entry >> offset_bits & (cluster_.value() - 1))};
  }

  /// The entry of a compressed cluster; the stream is shorter than a cluster.
  [[nodiscard]] std::uint64_t compressed_entry(HostRange stream) const {
    return kCompressed | stream.length.value() << (63 - cluster_bits_) | stream.begin.value();
  }
  /// Whether such an entry can name a place that ends there.
  [[nodiscard]] bool may_hold_stream(HostOffset end) const { return end.value() >> (63 - cluster_bits_) == 0; }

 private:
  unsigned cluster_bits_;
  ByteCount cluster_;
  std::uint64_t entries_;
};

}  // namespace flatimg::qcow1
