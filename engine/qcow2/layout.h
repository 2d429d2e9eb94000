// The arithmetic of a qcow2 image: which table entry belongs to a guest offset, and what an entry says (specification:
// "Cluster mapping", sheet sections 1, 3, 4). Pure functions on numbers.
//
// Invariants:
//   1. Compressed is looked at first, then zero, then the offset.
//   2. Standard entries are treated as extended ones with a single subcluster, so that there is one set of rules.
#pragma once

#include <cstdint>
#include <optional>

#include "base/range.h"
#include "base/result.h"

namespace flatimg::qcow2 {

struct Header;

inline constexpr std::uint64_t kCopied = std::uint64_t{1} << 63;
inline constexpr std::uint64_t kCompressed = std::uint64_t{1} << 62;
inline constexpr std::uint64_t kZeroFlag = 1;  // standard entries of version 3 only
inline constexpr std::uint64_t kOffsetMask = 0x00fffffffffffe00;
inline constexpr std::uint64_t kL1Reserved = 0x7f000000000001ff;
inline constexpr std::uint64_t kL2Reserved = 0x3f000000000001fe;
inline constexpr std::uint64_t kRefcountTableReserved = 0x1ff;
inline constexpr unsigned kSubclusters = 32;
inline constexpr std::uint64_t kAllZeroBitmap = 0xffffffff00000000;
inline constexpr std::uint64_t kAllAllocatedBitmap = 0x00000000ffffffff;

/// One L2 entry as it is on disk, in host byte order.
struct Entry {
  std::uint64_t word = 0;
  std::uint64_t bitmap = 0;  // extended L2 only
  friend bool operator==(const Entry&, const Entry&) = default;
};

/// The host bytes of a compressed cluster: an upper bound of the stream's length.
struct CompressedRange {
  HostOffset at;
  ByteCount length;
};

enum class Kind : unsigned char {
  Unallocated,  // the backing file answers
  Zero,         // reads as zeroes
  Data,         // host cluster
  Compressed,
};

/// What an entry says of one subcluster.
struct Meaning {
  Kind kind = Kind::Unallocated;
  bool has_host = false;  // the entry names a host cluster (always for Data; reserved space for the others)
  bool copied = false;    // and it belongs to nobody else
  HostOffset host;        // the beginning of that cluster
};

class Layout {
 public:
  explicit Layout(const Header& header);

  [[nodiscard]] ByteCount cluster() const { return cluster_; }
  [[nodiscard]] bool extended() const { return extended_; }
  [[nodiscard]] unsigned subclusters() const { return extended_ ? kSubclusters : 1; }
  /// What can be zero or allocated by itself: a subcluster, or the cluster.
  [[nodiscard]] ByteCount granule() const { return ByteCount(cluster_.value() / subclusters()); }
  [[nodiscard]] std::size_t words_per_entry() const { return extended_ ? 2 : 1; }
  [[nodiscard]] std::uint64_t entries_per_table() const { return cluster_.value() / (8 * words_per_entry()); }
  /// Bytes of guest that one L1 entry spans.
  [[nodiscard]] ByteCount span() const { return cluster_ * entries_per_table(); }

  [[nodiscard]] std::uint64_t l1_index(GuestOffset at) const { return at / span(); }
  [[nodiscard]] std::uint64_t l2_index(GuestOffset at) const { return (at % span()) / cluster_; }
  [[nodiscard]] unsigned subcluster(GuestOffset at) const { return static_cast<unsigned>((at % cluster_) / granule()); }
  /// How many L1 entries a disk of this size needs; saturates for sizes near 2^64.
  [[nodiscard]] std::uint64_t l1_entries_for(ByteCount size) const;

  /// Counters in one refcount block.
  [[nodiscard]] std::uint64_t counters_per_block() const { return cluster_.value() * 8 >> refcount_order_; }
  [[nodiscard]] unsigned refcount_order() const { return refcount_order_; }
  [[nodiscard]] std::uint64_t largest_refcount() const {
    return refcount_order_ == 6 ? ~std::uint64_t{0} : (std::uint64_t{1} << (1u << refcount_order_)) - 1;
  }

  /// CorruptImage when the entry breaks a rule (reserved bits, misaligned offset, impossible bitmap).
  Result<Meaning> meaning(Entry entry, unsigned subcluster) const;

  [[nodiscard]] static bool is_compressed(Entry entry) { return (entry.word & kCompressed) != 0; }
  [[nodiscard]] CompressedRange compressed_range(Entry entry) const;

  /// The entry of a compressed cluster whose stream is stored there. The stream is shorter than a cluster.
  [[nodiscard]] Entry compressed_entry(HostRange stream) const;
  /// Whether such an entry can name a place that ends there.
  [[nodiscard]] bool may_hold_stream(HostOffset end) const;

  /// The entry of a cluster that is wholly data at `host`.
  [[nodiscard]] Entry data_entry(HostOffset host) const;
  /// The entry of a cluster that reads as zeroes; with `host`, the space stays reserved. Not in version 2.
  [[nodiscard]] Entry zero_entry(std::optional<HostOffset> host) const;
  [[nodiscard]] bool can_mark_zero() const { return version_ >= 3; }

 private:
  [[nodiscard]] unsigned stream_offset_bits() const { return 62 - (cluster_bits_ - 8); }
  Result<void> check_host(std::uint64_t word) const;
  Result<Meaning> extended_meaning(Entry entry, unsigned subcluster) const;

  std::uint32_t version_;
  unsigned cluster_bits_;
  ByteCount cluster_;
  unsigned refcount_order_;
  bool extended_;
  bool data_file_;
};

}  // namespace flatimg::qcow2
