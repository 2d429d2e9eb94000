#include "composite/gpt.h"

#include <zlib.h>

#include <algorithm>
#include <cassert>
#include <cstring>

#include "base/text.h"
#include "base/utf8.h"

namespace flatimg::composite {

namespace {

constexpr std::uint64_t kSector = 512;
constexpr std::size_t kNameUnits = 36;
constexpr std::size_t kHeaderSize = 92;
constexpr std::size_t kEntrySize = 128;
constexpr std::size_t kEntriesSize = kMostPartitions * kEntrySize;
constexpr std::uint64_t kFirstUsable = kGptBytes.value() / kSector;
constexpr std::string_view kLinuxFilesystem = "0FC63DAF-8483-4772-8E79-3D69D8477DE4";

// Fields as they are stored, little-endian, one behind the other.
class Record {
 public:
  template <class T>
  Record& number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Record& guid(const Guid& guid) { return text({reinterpret_cast<const char*>(guid.data()), guid.size()}); }
  Record& text(std::string_view bytes) {
    bytes_ += bytes;
    return *this;
  }
  Record& zeroes(std::size_t count) {
    bytes_.append(count, '\0');
    return *this;
  }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

std::uint32_t checksum(std::string_view bytes) {
  return static_cast<std::uint32_t>(
      ::crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())));
}

// One partition of type 0xee over all sectors but the first, or as many as the field can say.
std::string protective_mbr(ByteCount size) {
  const std::uint64_t sectors = std::min<std::uint64_t>(size.value() / kSector - 1, 0xffffffff);
  Record record;
  record.zeroes(446);
  record.text({"\0\0\x02\0\xee\xff\xff\xff", 8});  // not bootable; first and last cylinder, head and sector
  record.number(std::uint32_t{1}).number(static_cast<std::uint32_t>(sectors));
  record.zeroes(3 * 16).text("\x55\xaa");
  return record.bytes();
}

std::string entry(const Partition& partition) {
  assert(partition.name.size() <= kNameUnits);
  Record record;
  record.guid(*parse_guid(kLinuxFilesystem)).guid(partition.guid);
  record.number(partition.where.begin.value() / kSector).number(partition.where.end().value() / kSector - 1);
  record.number(std::uint64_t{0});  // attributes
  for (const char16_t unit : partition.name) record.number(unit);
  return record.zeroes(kEntrySize - record.bytes().size()).bytes();
}

std::string all_entries(std::span<const Partition> partitions) {
  assert(partitions.size() <= kMostPartitions);
  Record record;
  for (const Partition& partition : partitions) record.text(entry(partition));
  return record.zeroes(kEntriesSize - record.bytes().size()).bytes();
}

struct Places {
  std::uint64_t own, other, entries;  // sectors
};

std::string gpt_header(const Places& places, std::uint64_t last_usable, const Guid& disk, std::uint32_t entries) {
  const auto with_checksum = [&](std::uint32_t own) {
    Record record;
    record.text("EFI PART").number(std::uint32_t{0x00010000}).number(std::uint32_t{kHeaderSize});
    record.number(own).number(std::uint32_t{0});
    record.number(places.own).number(places.other).number(kFirstUsable).number(last_usable).guid(disk);
    record.number(places.entries).number(static_cast<std::uint32_t>(kMostPartitions));
    record.number(static_cast<std::uint32_t>(kEntrySize)).number(entries);
    return record;
  };
  const std::uint32_t own = checksum(with_checksum(0).bytes());
  return with_checksum(own).zeroes(kSector - kHeaderSize).bytes();
}

// The code point at the front of well-formed UTF-8, which is taken away.
char32_t take_character(std::string_view& text) {
  const auto first = static_cast<std::uint8_t>(text[0]);
  const std::size_t bytes = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  char32_t code = bytes == 1 ? first : first & (0x7fu >> bytes);
  for (std::size_t n = 1; n < bytes; ++n) code = code << 6 | (static_cast<std::uint8_t>(text[n]) & 0x3fu);
  text.remove_prefix(bytes);
  return code;
}

std::u16string in_utf16(char32_t code) {
  if (code < 0x10000) return {static_cast<char16_t>(code)};
  code -= 0x10000;
  return {static_cast<char16_t>(0xd800 + (code >> 10)), static_cast<char16_t>(0xdc00 + (code & 0x3ff))};
}

}  // namespace

Result<std::u16string> partition_name(std::string_view label) {
  if (!is_utf8(label)) return fail(ErrorKind::BadUsage, "{}: the label is not UTF-8", shown(label));
  std::u16string name;
  while (!label.empty()) {
    const std::u16string next = in_utf16(take_character(label));
    if (name.size() + next.size() > kNameUnits) break;
    name += next;
  }
  return name;
}

GptTables gpt_tables(std::span<const Partition> partitions, ByteCount size, const Guid& disk) {
  assert((size % ByteCount(4096)).is_zero() && size >= kGptBytes * 2);
  const std::uint64_t last = size.value() / kSector - 1;
  const std::uint64_t backup_entries = last - kEntriesSize / kSector;
  const std::string entries = all_entries(partitions);
  const std::uint32_t sum = checksum(entries);
  Record beginning;
  beginning.text(protective_mbr(size)).text(gpt_header({1, last, 2}, backup_entries - 1, disk, sum)).text(entries);
  beginning.zeroes(kGptBytes.value() - beginning.bytes().size());
  Record end;
  end.zeroes(kGptBytes.value() - kEntriesSize - kSector).text(entries);
  end.text(gpt_header({last, 1, backup_entries}, backup_entries - 1, disk, sum));
  return {beginning.bytes(), end.bytes()};
}

}  // namespace flatimg::composite
