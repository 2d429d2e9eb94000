#include "qcow2/header.h"

#include <algorithm>
#include <array>

#include "base/checked.h"
#include "base/endian.h"
#include "base/limits.h"
#include "qcow2/layout.h"

namespace flatimg::qcow2 {

namespace {

using Bytes = std::span<const std::byte>;

constexpr std::size_t kV2Length = 72;
constexpr std::size_t kV3Length = 104;
constexpr std::size_t kExtensionHead = 8;
constexpr std::size_t kFeatureNameEntry = 48;

std::string text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::string text_up_to_nul(Bytes bytes) {
  const std::string text = text_of(bytes);
  return text.substr(0, text.find('\0'));
}

std::string printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

// --- fixed fields ---------------------------------------------------------------------------------------------------

Result<void> check_table(std::string_view what, HostOffset at, ByteCount size, ByteCount cluster) {
  if (!(at % cluster).is_zero()) {
    return fail(ErrorKind::InvalidImage, "the {} at byte {} is not aligned to a cluster", what, at.value());
  }
  const auto end = checked_add(at.value(), size.value());
  if (!end || *end > limits::kQcow2HostOffset) {
    return fail(ErrorKind::InvalidImage, "the {} at byte {} lies beyond every possible file", what, at.value());
  }
  return {};
}

Result<void> read_version_3_fields(Header& header, Bytes area) {
  header.incompatible = load_be<std::uint64_t>(area, 72);
  header.compatible = load_be<std::uint64_t>(area, 80);
  header.autoclear = load_be<std::uint64_t>(area, 88);
  header.refcount_order = load_be<std::uint32_t>(area, 96);
  header.header_length = load_be<std::uint32_t>(area, 100);
  if (header.header_length < kV3Length || header.header_length > header.cluster().value()) {
    return fail(ErrorKind::InvalidImage, "a header length of {} bytes is impossible", header.header_length);
  }
  if (header.refcount_order > 6) {
    return fail(ErrorKind::InvalidImage, "a refcount width of 2^{} bits is impossible", header.refcount_order);
  }
  if (header.header_length > kV3Length) {
    const auto type = std::to_integer<unsigned>(area[104]);
    if (type > 1) {
      return fail(ErrorKind::Unsupported, "compression type {} is unknown: convert the image with qemu-img", type);
    }
    header.compression = static_cast<Compression>(type);
  }
  return {};
}

Result<void> read_fixed_fields(Header& header, Bytes area) {
  header.size = ByteCount(load_be<std::uint64_t>(area, 24));
  header.crypt_method = load_be<std::uint32_t>(area, 32);
  header.l1_entries = load_be<std::uint32_t>(area, 36);
  header.l1_table = HostOffset(load_be<std::uint64_t>(area, 40));
  header.refcount_table = HostOffset(load_be<std::uint64_t>(area, 48));
  header.refcount_table_clusters = load_be<std::uint32_t>(area, 56);
  header.snapshots = load_be<std::uint32_t>(area, 60);
  header.snapshot_table = HostOffset(load_be<std::uint64_t>(area, 64));
  if (header.version == 3) CHECK(read_version_3_fields(header, area));
  return {};
}

// --- features -------------------------------------------------------------------------------------------------------

std::string unknown_features(const Header& header, std::uint64_t bits) {
  std::string names;
  for (unsigned bit = 0; bit < 64; ++bit) {
    if ((bits >> bit & 1) == 0) continue;
    std::string name = fmt::format("bit {}", bit);
    for (const Extension& extension : header.extensions) {
      if (extension.type != extension::kFeatureNames) continue;
      const Bytes table = extension.payload;
      for (std::size_t at = 0; at + kFeatureNameEntry <= table.size(); at += kFeatureNameEntry) {
        if (table[at] == std::byte{0} && std::to_integer<unsigned>(table[at + 1]) == bit) {
          name = printable(text_up_to_nul(table.subspan(at + 2, kFeatureNameEntry - 2)));
        }
      }
    }
    names += (names.empty() ? "" : ", ") + name;
  }
  return names;
}

using Judge = Result<void> (*)(const Header&, HeaderUse);

Result<void> check_known_features(const Header& header, HeaderUse /*use*/) {
  const std::uint64_t unknown = header.incompatible & ~incompatible::kImplemented;
  if (unknown == 0) return {};
  return fail(ErrorKind::Unsupported, "incompatible feature not supported: {}: convert the image with qemu-img",
              unknown_features(header, unknown));
}

Result<void> check_compression(const Header& header, HeaderUse /*use*/) {
  if (header.has(incompatible::kCompressionType) == (header.compression != Compression::Deflate)) return {};
  return fail(ErrorKind::InvalidImage, "the compression type and its feature bit contradict each other");
}

Result<void> check_subclusters(const Header& header, HeaderUse /*use*/) {
  if (!header.has(incompatible::kExtendedL2) || header.cluster_bits >= 14) return {};
  return fail(ErrorKind::InvalidImage, "extended L2 entries need clusters of at least 16 KiB");
}

Result<void> check_encryption_method(const Header& header, HeaderUse /*use*/) {
  if (header.crypt_method <= 2) return {};
  return fail(ErrorKind::InvalidImage, "encryption method {} does not exist", header.crypt_method);
}

// --- tables ---------------------------------------------------------------------------------------------------------

Result<void> check_tables(const Header& header, HeaderUse use) {
  const ByteCount cluster = header.cluster();
  const ByteCount l1_bytes = ByteCount(header.l1_entries) * 8;
  if (l1_bytes > limits::kQcow2L1Table) {
    return fail(ErrorKind::Limit, "an L1 table of {} entries is too large", header.l1_entries);
  }
  CHECK(check_table("L1 table", header.l1_table, l1_bytes, cluster));
  const Layout layout(header);
  if (header.l1_entries < layout.l1_entries_for(header.size)) {
    return fail(ErrorKind::InvalidImage, "the L1 table has {} entries, but a disk of {} bytes needs {}",
                header.l1_entries, header.size.value(), layout.l1_entries_for(header.size));
  }
  if (use == HeaderUse::Open) {
    CHECK(check_refcount_table(header));
    if (header.snapshots > limits::kQcow2Snapshots) {
      return fail(ErrorKind::Limit, "{} snapshots are too many: drop the last ones with flatimg check -r all",
                  header.snapshots);
    }
  }
  CHECK(check_table("snapshot table", header.snapshot_table, ByteCount(0), cluster));
  if (header.snapshots > 0 && header.snapshot_table.value() == 0) {
    return fail(ErrorKind::InvalidImage, "the snapshot table would lie on the header");
  }
  return {};
}

// --- encryption ----------------------------------------------------------------------------------------------------

// A LUKS header is small; one that is not would only cost memory.
Result<void> check_encryption(const Header& header, HeaderUse /*use*/) {
  constexpr std::uint32_t kLuks = 2;
  if (header.crypt_method != kLuks) {
    if (!header.crypto_header) return {};
    return fail(ErrorKind::InvalidImage, "there is an encryption header, but the image is not encrypted with LUKS");
  }
  if (!header.crypto_header)
    return fail(ErrorKind::InvalidImage, "the image is encrypted, but has no encryption header");
  if (header.crypto_header->length > limits::kLuksHeader) {
    return fail(ErrorKind::Limit, "an encryption header of {} bytes is too large",
                header.crypto_header->length.value());
  }
  return check_table("encryption header", header.crypto_header->begin, header.crypto_header->length, header.cluster());
}

// --- extensions and the backing name --------------------------------------------------------------------------------

Result<void> note_extension(Header& header, const Extension& found) {
  const Bytes payload = found.payload;
  switch (found.type) {
    case extension::kBackingFormat:
      header.backing_format = text_of(payload);
      break;
    case extension::kCrosvmBackingFormat:
    case extension::kOwnBackingFormat:
      if (!header.backing_format) header.backing_format = text_of(payload);
      break;
    case extension::kDataFile:
      header.data_file_name = text_of(payload);
      break;
    case extension::kBitmaps:
      if (payload.size() != 24) return fail(ErrorKind::InvalidImage, "the bitmaps extension has a wrong length");
      header.bitmaps =
          BitmapsExtension{load_be<std::uint32_t>(payload, 0), ByteCount(load_be<std::uint64_t>(payload, 8)),
                           HostOffset(load_be<std::uint64_t>(payload, 16))};
      break;
    case extension::kCrypto:
      if (payload.size() != 16) return fail(ErrorKind::InvalidImage, "the encryption extension has a wrong length");
      header.crypto_header =
          HostRange{HostOffset(load_be<std::uint64_t>(payload, 0)), ByteCount(load_be<std::uint64_t>(payload, 8))};
      break;
    default:
      break;  // kept where it is
  }
  return {};
}

Result<void> read_extensions(Header& header, Bytes area) {
  std::size_t at = header.header_length;
  while (at + kExtensionHead <= area.size()) {
    const auto type = load_be<std::uint32_t>(area, at);
    const std::size_t length = load_be<std::uint32_t>(area, at + 4);
    if (type == extension::kEnd) break;
    at += kExtensionHead;
    if (length > area.size() - at) {
      return fail(ErrorKind::InvalidImage, "header extension {:#010x} is longer than the header", type);
    }
    const Bytes payload = area.subspan(at, length);
    header.extensions.push_back({type, {payload.begin(), payload.end()}});
    CHECK(note_extension(header, header.extensions.back()));
    at += (length + 7) / 8 * 8;
  }
  return {};
}

// Where the backing name is and therefore the extension area ends.
Result<Bytes> read_backing_name(Header& header, Bytes area) {
  const auto at = load_be<std::uint64_t>(area, 8);
  const auto length = load_be<std::uint32_t>(area, 16);
  if (at == 0) return area;
  if (at > area.size() || length > std::min<std::uint64_t>(limits::kQcow2BackingName, area.size() - at)) {
    return fail(ErrorKind::InvalidImage, "the name of the backing file does not lie in the first cluster");
  }
  if (length > 0) header.backing_name = text_of(area.subspan(at, length));
  return area.first(at);
}

}  // namespace

std::uint32_t extension::of_backing_format(std::string_view format) {
  constexpr std::array<std::string_view, 3> kOurs{"sparse", "composite", "zstd"};
  return std::ranges::find(kOurs, format) != kOurs.end() ? kOwnBackingFormat : kBackingFormat;
}

Result<ByteCount> header_area(Bytes first_sector) {
  if (first_sector.size() < kV2Length || load_be<std::uint32_t>(first_sector, 0) != kMagic) {
    return fail(ErrorKind::InvalidImage, "not a qcow2 image");
  }
  const auto version = load_be<std::uint32_t>(first_sector, 4);
  if (version == 1) return fail(ErrorKind::Unsupported, "a qcow image of version 1: convert it with qemu-img");
  if (version < 2 || version > 3) return fail(ErrorKind::Unsupported, "qcow2 version {} is unknown", version);
  const auto cluster_bits = load_be<std::uint32_t>(first_sector, 20);
  if (cluster_bits < limits::kQcow2MinClusterBits || cluster_bits > limits::kQcow2MaxClusterBits) {
    return fail(ErrorKind::InvalidImage, "a cluster size of 2^{} bytes is impossible", cluster_bits);
  }
  return ByteCount(std::uint64_t{1} << cluster_bits);
}

Result<void> check_refcount_table(const Header& header) {
  const auto bytes = ByteCount(header.refcount_table_clusters) * header.cluster().value();
  if (bytes > limits::kQcow2RefcountTable) {
    return fail(ErrorKind::Limit, "a refcount table of {} clusters is too large", header.refcount_table_clusters);
  }
  CHECK(check_table("refcount table", header.refcount_table, bytes, header.cluster()));
  if (header.refcount_table_clusters == 0 || header.refcount_table.value() == 0) {
    return fail(ErrorKind::InvalidImage, "there is no refcount table: repair it with flatimg check -r all");
  }
  return {};
}

Result<Header> parse_header_fields(Bytes area, ByteCount file_size) {
  TRY(const ByteCount needed, header_area(area));
  assert(area.size() >= needed.value());
  Header header;
  header.version = load_be<std::uint32_t>(area, 4);
  header.cluster_bits = load_be<std::uint32_t>(area, 20);
  if (file_size.value() < (header.version == 3 ? kV3Length : kV2Length)) {
    return fail(ErrorKind::InvalidImage, "the file ends within the header");
  }
  CHECK(read_fixed_fields(header, area));
  header.size = align_down(header.size, 512_B);
  TRY(const Bytes extension_area, read_backing_name(header, area.first(needed.value())));
  CHECK(read_extensions(header, extension_area));
  return header;
}

std::vector<Error> judge_header(const Header& header, HeaderUse use) {
  constexpr std::array<Judge, 6> kJudges{check_known_features,    check_compression, check_subclusters,
                                         check_encryption_method, check_tables,      check_encryption};
  std::vector<Error> problems;
  for (const Judge judge : kJudges) {
    if (auto judged = judge(header, use); !judged) problems.push_back(std::move(judged.error()));
  }
  return problems;
}

Result<Header> parse_header(Bytes area, ByteCount file_size, HeaderUse use) {
  TRY(Header header, parse_header_fields(area, file_size));
  if (auto problems = judge_header(header, use); !problems.empty()) return Failure(std::move(problems.front()));
  return header;
}

}  // namespace flatimg::qcow2
