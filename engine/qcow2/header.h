// The header of a qcow2 image and its extensions (specification: "Header", "Header extensions").
//
// Invariants:
//   1. Version first: bytes from 72 on are feature words only in version 3.
//   2. What parse_header() accepts is within QEMU's limits: every offset is aligned and every size bounded, so that the
//      rest of the room may compute with them. Whether the tables lie within the file is checked when it is opened.
//   3. Nothing here writes. Fields are patched where they are; unknown extensions and bits stay as they are.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/range.h"
#include "base/result.h"

namespace flatimg::qcow2 {

inline constexpr std::uint32_t kMagic = 0x514649fb;

/// Byte positions of header fields that are patched in place. Each group lies within the first sector.
namespace field {
inline constexpr HostOffset kL1{36};             // l1_size u32, l1_table_offset u64
inline constexpr HostOffset kRefcountTable{48};  // refcount_table_offset u64, refcount_table_clusters u32
inline constexpr HostOffset kSnapshots{60};      // nb_snapshots u32, snapshots_offset u64
inline constexpr HostOffset kIncompatible{72};
inline constexpr HostOffset kAutoclear{88};
inline constexpr HostOffset kRefcountOrder{96};
}  // namespace field

namespace incompatible {
inline constexpr std::uint64_t kDirty = 1u << 0;
inline constexpr std::uint64_t kCorrupt = 1u << 1;
inline constexpr std::uint64_t kDataFile = 1u << 2;
inline constexpr std::uint64_t kCompressionType = 1u << 3;
inline constexpr std::uint64_t kExtendedL2 = 1u << 4;
inline constexpr std::uint64_t kImplemented = kDirty | kCorrupt | kDataFile | kCompressionType | kExtendedL2;
}  // namespace incompatible

namespace compatible {
inline constexpr std::uint64_t kLazyRefcounts = 1u << 0;
}

namespace autoclear {
inline constexpr std::uint64_t kBitmaps = 1u << 0;
inline constexpr std::uint64_t kRawDataFile = 1u << 1;
}  // namespace autoclear

namespace extension {
inline constexpr std::uint32_t kEnd = 0;
inline constexpr std::uint32_t kBackingFormat = 0xE2792ACA;
inline constexpr std::uint32_t kCrosvmBackingFormat = 0xE279268F;  // crosvm's slip of the pen; read, never written
inline constexpr std::uint32_t kFeatureNames = 0x6803F857;
inline constexpr std::uint32_t kBitmaps = 0x23852875;
inline constexpr std::uint32_t kCrypto = 0x0537BE77;
inline constexpr std::uint32_t kDataFile = 0x44415441;
inline constexpr std::uint32_t kOwnBackingFormat = 0x666C6174;  // "flat": a format by a name that QEMU does not know
inline constexpr std::uint32_t kBackingFacts = 0x666C6266;      // "flbf": see backing_facts.h

/// Where the format of a backing file is recorded. QEMU opens nothing behind a kBackingFormat that it does not know,
/// and keeps extensions that it does not know. When both are there, kBackingFormat holds: QEMU has changed the backing
/// file.
[[nodiscard]] std::uint32_t of_backing_format(std::string_view format);
}  // namespace extension

enum class Compression : unsigned char { Deflate = 0, Zstd = 1 };

struct Extension {
  std::uint32_t type = 0;
  std::vector<std::byte> payload;
};

struct BitmapsExtension {
  std::uint32_t bitmaps = 0;
  ByteCount directory_size;
  HostOffset directory;
};

struct Header {
  std::uint32_t version = 3;
  unsigned cluster_bits = 16;
  ByteCount size;  // of the virtual disk, rounded down to 512
  std::uint32_t crypt_method = 0;
  std::uint32_t l1_entries = 0;
  HostOffset l1_table;
  HostOffset refcount_table;
  std::uint32_t refcount_table_clusters = 0;
  std::uint32_t snapshots = 0;
  HostOffset snapshot_table;
  std::uint64_t incompatible = 0;
  std::uint64_t compatible = 0;
  std::uint64_t autoclear = 0;
  unsigned refcount_order = 4;
  std::uint32_t header_length = 72;
  Compression compression = Compression::Deflate;

  std::optional<std::string> backing_name;
  std::optional<std::string> backing_format;
  std::optional<std::string> data_file_name;
  std::optional<BitmapsExtension> bitmaps;
  std::optional<HostRange> crypto_header;
  std::vector<Extension> extensions;  // all of them, in order

  [[nodiscard]] ByteCount cluster() const { return ByteCount(std::uint64_t{1} << cluster_bits); }
  [[nodiscard]] bool has(std::uint64_t incompatible_bit) const { return (incompatible & incompatible_bit) != 0; }
  [[nodiscard]] bool raw_data_file() const {
    return has(incompatible::kDataFile) && (autoclear & autoclear::kRawDataFile) != 0;
  }
};

/// How many bytes of the file parse_header() needs: the first cluster. InvalidImage when the cluster size is absurd.
Result<ByteCount> header_area(std::span<const std::byte> first_sector);

/// What a header is read for.
enum class HeaderUse {
  Open,
  Check,  // what a repair replaces is not judged: the place of the refcount table, the number of snapshots
};

/// Reads and judges a header. `area` begins at byte 0 and has header_area() bytes; `file_size` is the real length.
/// InvalidImage, Unsupported or Limit with one clear sentence (the file's name is not in it).
Result<Header> parse_header(std::span<const std::byte> area, ByteCount file_size, HeaderUse use = HeaderUse::Open);

/// The two halves of parse_header(): what the fields say, where they can be read at all; and everything that is wrong
/// with that.
Result<Header> parse_header_fields(std::span<const std::byte> area, ByteCount file_size);
[[nodiscard]] std::vector<Error> judge_header(const Header& header, HeaderUse use);

/// Whether the refcount table lies where and is as large as one may: only HeaderUse::Check meets others.
[[nodiscard]] Result<void> check_refcount_table(const Header& header);

}  // namespace flatimg::qcow2
