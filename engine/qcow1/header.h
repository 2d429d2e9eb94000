// The header of a qcow image (version 1), and the extension header of Xen's tapdisk behind it.
//
// Invariants:
//   1. What read_header() accepts is within the limits of QEMU's driver, and the L1 table and the backing name lie in
//      the file, clear of the header: the rest of the room may compute with every number.
//   2. An extension is one only where tapdisk would see it: its magic stands at byte 48 and the L1 table begins at a
//      multiple of 4096. Anything else at byte 48 is a backing name or the L1 table of a plain image.
//   3. Nothing here writes.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "base/range.h"
#include "base/result.h"

namespace flatimg {
class HostFile;
}

namespace flatimg::qcow1 {

inline constexpr std::uint32_t kMagic = 0x514649fb;
inline constexpr std::uint32_t kXenMagic = 0x58454efb;
inline constexpr ByteCount kHeaderBytes{48};
inline constexpr ByteCount kHeaderWithXenBytes{64};
inline constexpr ByteCount kXenAlignment{4096};  // of the L1 table and of what tapdisk writes

/// Byte positions of what is patched in place; all of them within the first sector.
namespace field {
inline constexpr HostOffset kL1Table{40};      // u64
inline constexpr HostOffset kXenChecksum{52};  // u32, then min_cluster_alloc u32, flags u32
inline constexpr HostOffset kXenAllocation{56};
}  // namespace field

namespace xen_flag {
inline constexpr std::uint32_t kSparse = 1u << 0;
inline constexpr std::uint32_t kL1BigEndian = 1u << 1;
}  // namespace xen_flag

struct XenExtension {
  std::uint32_t checksum = 0;          // of the L1 table, see l1_table.h
  std::uint32_t clusters_at_once = 1;  // min_cluster_alloc: how many are allocated together
  std::uint32_t flags = 0;
  [[nodiscard]] bool has(std::uint32_t flag) const { return (flags & flag) != 0; }
};

struct Header {
  ByteCount size;  // of the virtual disk, rounded down to 512
  unsigned cluster_bits = 12;
  unsigned l2_bits = 9;
  std::uint32_t crypt_method = 0;
  HostOffset l1_table;
  std::uint64_t l1_entries = 0;
  std::optional<std::string> backing_name;
  HostRange backing_place;  // where the name stands: anywhere in the file; empty without one
  std::optional<XenExtension> xen;

  [[nodiscard]] ByteCount cluster() const { return ByteCount(std::uint64_t{1} << cluster_bits); }
  [[nodiscard]] std::uint64_t l2_entries() const { return std::uint64_t{1} << l2_bits; }
  [[nodiscard]] ByteCount l2_bytes() const { return ByteCount(8 * l2_entries()); }
  [[nodiscard]] HostRange l1_range() const { return {l1_table, ByteCount(8 * l1_entries)}; }
  /// Where tables may begin.
  [[nodiscard]] ByteCount own_bytes() const { return xen ? kHeaderWithXenBytes : kHeaderBytes; }
};

/// Reads and judges the header of a file. InvalidImage, Unsupported or Limit with one clear sentence.
Result<Header> read_header(HostFile& file);

}  // namespace flatimg::qcow1
