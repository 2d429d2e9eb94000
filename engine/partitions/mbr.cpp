// Positions are sectors of 512 bytes in 32 bits: as byte offsets in 64 bits they cannot overflow, also when three of
// them are added.
#include "partitions/mbr.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/endian.h"

namespace flatimg::partitions {

namespace {

constexpr std::uint64_t kSector = 512;
constexpr std::size_t kEntries = 446;
constexpr std::size_t kEntrySize = 16;
constexpr unsigned kFirstLogical = 5;

std::uint64_t bytes(std::uint32_t sectors) { return sectors * kSector; }

MbrEntry parse_entry(std::span<const std::byte> entry) {
  return {static_cast<std::uint8_t>(entry[0]), static_cast<std::uint8_t>(entry[4]), load_le<std::uint32_t>(entry, 8),
          load_le<std::uint32_t>(entry, 12)};
}

/// Where an extended partition is: the chain counts from `first`.
struct Container {
  std::uint64_t first = 0;
  std::uint64_t size = 0;
};

class Reader {
 public:
  explicit Reader(Disk& disk) : disk_(disk) { table_.scheme = Scheme::Mbr; }

  Result<Table> read(const MbrEntries& entries) {
    for (unsigned n = 0; n < entries.size(); ++n) {
      if (entries[n].is_used() && !entries[n].is_extended()) add(n + 1, bytes(entries[n].first), entries[n]);
    }
    for (const MbrEntry& entry : entries) {
      if (entry.is_used() && entry.is_extended()) CHECK(follow({bytes(entry.first), bytes(entry.count)}));
    }
    return std::move(table_);
  }

 private:
  void add(unsigned number, std::uint64_t begin, const MbrEntry& entry);
  Result<void> follow(Container container);
  Result<std::optional<MbrEntries>> record_at(std::uint64_t at);
  void add_logical(const MbrEntries& entries, std::uint64_t record, std::uint64_t size, const Container& container);

  Disk& disk_;
  Table table_;
  unsigned next_logical_ = kFirstLogical;
  std::set<std::uint64_t> visited_;  // records of extended partitions
};

void Reader::add(unsigned number, std::uint64_t begin, const MbrEntry& entry) {
  const std::uint64_t disk_size = disk_.size().value();
  const std::uint64_t size = std::min(bytes(entry.count), disk_size - std::min(begin, disk_size));
  if (size == 0) return table_.notes.push_back(fmt::format("partition {} begins behind the end of the disk", number));
  if (size < bytes(entry.count)) table_.notes.push_back(fmt::format("partition {} is cut at the disk's end", number));
  table_.partitions.push_back(
      {number, {GuestOffset(begin), ByteCount(size)}, fmt::format("0x{:02x}", entry.type), {}, {}});
}

/// nullopt where there is no record, or one that was there before.
Result<std::optional<MbrEntries>> Reader::record_at(std::uint64_t at) {
  std::array<std::byte, kMbrSize.value()> sector{};
  const bool fresh = visited_.insert(at).second && visited_.size() <= kMostPartitions;
  if (!fresh || disk_.size() < kMbrSize || at > disk_.size().value() - sector.size()) {
    table_.notes.push_back("the chain of extended partitions leads nowhere");
    return std::optional<MbrEntries>();
  }
  CHECK(disk_.read(GuestOffset(at), sector));
  return parse_record(sector);
}

/// The third and fourth entry are often rubbish, and count only when they lie inside.
void Reader::add_logical(const MbrEntries& entries, std::uint64_t record, std::uint64_t size,
                         const Container& container) {
  for (std::size_t n = 0; n < entries.size() && next_logical_ <= kMostPartitions; ++n) {
    const MbrEntry& entry = entries[n];
    if (!entry.is_used() || entry.is_extended()) continue;
    const std::uint64_t begin = record + bytes(entry.first);
    const bool inside = bytes(entry.first) + bytes(entry.count) <= size && begin >= container.first &&
                        begin + bytes(entry.count) <= container.first + container.size;
    if (n < 2 || inside) add(next_logical_++, begin, entry);
  }
}

Result<void> Reader::follow(Container container) {
  std::uint64_t record = container.first;
  std::uint64_t size = container.size;
  for (;;) {
    TRY(const std::optional<MbrEntries> entries, record_at(record));
    if (!entries) return {};
    add_logical(*entries, record, size, container);
    const auto next =
        std::ranges::find_if(*entries, [](const MbrEntry& entry) { return entry.is_used() && entry.is_extended(); });
    if (next == entries->end()) return {};
    record = container.first + bytes(next->first);
    size = bytes(next->count);
  }
}

}  // namespace

std::optional<MbrEntries> parse_record(std::span<const std::byte> sector) {
  if (sector.size() < kMbrSize.value() || sector[510] != std::byte{0x55} || sector[511] != std::byte{0xaa}) {
    return std::nullopt;
  }
  MbrEntries entries;
  for (std::size_t n = 0; n < entries.size(); ++n) {
    entries[n] = parse_entry(sector.subspan(kEntries + n * kEntrySize, kEntrySize));
  }
  return entries;
}

std::optional<MbrEntries> parse_mbr(std::span<const std::byte> sector) {
  auto entries = parse_record(sector);
  if (!entries) return std::nullopt;
  const bool table =
      std::ranges::all_of(*entries, [](const MbrEntry& entry) { return entry.boot == 0 || entry.boot == 0x80; });
  return table ? entries : std::nullopt;
}

bool is_protective(const MbrEntries& entries) {
  constexpr std::uint8_t kGpt = 0xee;
  return std::ranges::find(entries, kGpt, &MbrEntry::type) != entries.end();
}

Result<Table> read_mbr(Disk& disk, const MbrEntries& entries) { return Reader(disk).read(entries); }

}  // namespace flatimg::partitions
