// Layout of a header (offsets): 0 signature, 8 revision, 12 size, 16 CRC, 24 its sector, 32 the other header's, 40
// first and 48 last usable sector, 56 GUID of the disk, 72 sector of the entries, 80 their number, 84 size of each, 88
// CRC of them. Of an entry: 0 type, 16 its GUID, 32 first sector, 40 last sector, 48 attributes, 56 name in UTF-16.
#include "partitions/gpt.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/endian.h"
#include "codec/crc32.h"
#include "partitions/label.h"

namespace flatimg::partitions {

namespace {

constexpr std::string_view kSignature = "EFI PART";
constexpr std::uint32_t kSmallestHeader = 92;
constexpr std::uint32_t kSmallestEntry = 128;
constexpr std::uint32_t kLargestEntry = 4096;
constexpr std::uint64_t kMostEntryBytes = 1 << 20;
constexpr std::size_t kNameAt = 56;
constexpr std::size_t kNameBytes = 72;

struct Header {
  std::uint64_t entries_at = 0;  // sector
  std::uint32_t count = 0;
  std::uint32_t entry_size = 0;
  std::uint32_t entries_crc = 0;
};

/// The disk in sectors.
struct Sectors {
  Disk& disk;
  ByteCount size;  // of one

  [[nodiscard]] std::uint64_t count() const { return disk.size() / size; }
  [[nodiscard]] GuestOffset at(std::uint64_t sector) const { return GuestOffset(sector * size.value()); }
};

std::uint32_t crc_of_header(std::span<const std::byte> header) {
  constexpr std::size_t kCrcAt = 16;
  constexpr std::array<std::byte, 4> kZero{};
  Crc32 crc;
  crc.add(header.first(kCrcAt));
  crc.add(kZero);
  crc.add(header.subspan(kCrcAt + kZero.size()));
  return crc.value();
}

bool is_header(std::span<const std::byte> sector, std::uint64_t where) {
  if (std::memcmp(sector.data(), kSignature.data(), kSignature.size()) != 0) return false;
  const auto size = load_le<std::uint32_t>(sector, 12);
  if (size < kSmallestHeader || size > sector.size()) return false;
  return crc_of_header(sector.first(size)) == load_le<std::uint32_t>(sector, 16) &&
         load_le<std::uint64_t>(sector, 24) == where;
}

/// Whether the entries have a size that can be, and lie on the disk.
bool has_sound_entries(const Header& header, const Sectors& sectors) {
  const bool sound_size = std::has_single_bit(header.entry_size) && header.entry_size >= kSmallestEntry &&
                          header.entry_size <= kLargestEntry;
  const std::uint64_t bytes = std::uint64_t{header.entry_size} * header.count;
  if (!sound_size || bytes == 0 || bytes > kMostEntryBytes) return false;
  if (header.entries_at >= sectors.count()) return false;
  return bytes <= (sectors.count() - header.entries_at) * sectors.size.value();
}

/// nullopt when there is none, or a wrong one.
Result<std::optional<Header>> header_at(const Sectors& sectors, std::uint64_t where) {
  std::vector<std::byte> sector(sectors.size.value());
  CHECK(sectors.disk.read(sectors.at(where), sector));
  if (!is_header(sector, where)) return std::optional<Header>();
  const Header header{load_le<std::uint64_t>(sector, 72), load_le<std::uint32_t>(sector, 80),
                      load_le<std::uint32_t>(sector, 84), load_le<std::uint32_t>(sector, 88)};
  return has_sound_entries(header, sectors) ? std::optional(header) : std::nullopt;
}

using Entries = std::vector<std::byte>;

Result<std::optional<Entries>> entries_of(const Sectors& sectors, const Header& header) {
  Entries entries(std::size_t{header.entry_size} * header.count);
  CHECK(sectors.disk.read(sectors.at(header.entries_at), entries));
  Crc32 crc;
  crc.add(entries);
  return crc.value() == header.entries_crc ? std::optional(std::move(entries)) : std::nullopt;
}

std::string as_guid(std::span<const std::byte> bytes) {
  std::string text = fmt::format("{:08x}-{:04x}-{:04x}-", load_le<std::uint32_t>(bytes, 0),
                                 load_le<std::uint16_t>(bytes, 4), load_le<std::uint16_t>(bytes, 6));
  for (std::size_t n = 8; n < 16; ++n) {
    if (n == 10) text += '-';
    text += fmt::format("{:02x}", static_cast<unsigned>(bytes[n]));
  }
  return text;
}

bool is_used(std::span<const std::byte> entry) {
  return std::ranges::any_of(entry.first(16), [](std::byte byte) { return byte != std::byte{0}; });
}

/// nullopt for an entry that lies not on the disk, or ends before it begins.
std::optional<Partition> partition_in(std::span<const std::byte> entry, const Sectors& sectors, unsigned number) {
  const auto first = load_le<std::uint64_t>(entry, 32);
  const auto last = load_le<std::uint64_t>(entry, 40);
  if (first > last || last >= sectors.count()) return std::nullopt;
  return Partition{number,
                   {sectors.at(first), sectors.size * (last - first + 1)},
                   as_guid(entry.first(16)),
                   as_guid(entry.subspan(16, 16)),
                   label_from_utf16(entry.subspan(kNameAt, kNameBytes))};
}

Table table_of(const Header& header, const Entries& entries, const Sectors& sectors) {
  Table table{Scheme::Gpt, sectors.size, {}, {}};
  for (unsigned n = 0; n < std::min(header.count, kMostPartitions); ++n) {
    const auto entry = std::span(entries).subspan(std::size_t{n} * header.entry_size, header.entry_size);
    if (!is_used(entry)) continue;
    if (auto partition = partition_in(entry, sectors, n + 1)) {
      table.partitions.push_back(*std::move(partition));
    } else {
      table.notes.push_back(fmt::format("partition {} does not lie on the disk", n + 1));
    }
  }
  return table;
}

/// By the header in that sector.
Result<Table> table_at(const Sectors& sectors, std::uint64_t where) {
  TRY(const std::optional<Header> header, header_at(sectors, where));
  if (!header) return Table();
  TRY(const std::optional<Entries> entries, entries_of(sectors, *header));
  return entries ? table_of(*header, *entries, sectors) : Table();
}

}  // namespace

Result<Table> read_gpt(Disk& disk, ByteCount sector_size, Copy copy) {
  const Sectors sectors{disk, sector_size};
  if (sectors.count() < 3) return Table();
  return table_at(sectors, copy == Copy::Primary ? 1 : sectors.count() - 1);
}

}  // namespace flatimg::partitions
