// A disk in memory, and partition tables written on it byte by byte: good ones, and such as lie.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/endian.h"
#include "codec/crc32.h"
#include "partitions/table.h"
#include "raw/raw_image.h"
#include "support/memory_file.h"

namespace flatimg::test {

class DiskWithTable {
 public:
  explicit DiskWithTable(std::uint64_t size, std::uint64_t sector = 512) : sector_(sector), bytes_(size) {}

  /// An entry of the record in this sector (of 512 bytes).
  void mbr_entry(std::uint64_t at_sector, unsigned n, std::uint8_t type, std::uint32_t first, std::uint32_t count,
                 std::uint8_t boot = 0) {
    const auto record = span().subspan(at_sector * 512, 512);
    record[446 + n * 16] = std::byte{boot};
    record[446 + n * 16 + 4] = std::byte{type};
    store_le(record, 446 + n * 16 + 8, first);
    store_le(record, 446 + n * 16 + 12, count);
    record[510] = std::byte{0x55};
    record[511] = std::byte{0xaa};
  }

  struct Gpt {
    std::uint64_t header = 1;   // sector
    std::uint64_t entries = 2;  // sector
    std::uint32_t count = 128;
    std::uint32_t entry_size = 128;
    std::uint32_t header_size = 92;
  };
  /// Entry `n` from sector `first` to `last`, with this name.
  void gpt_entry(const Gpt& gpt, unsigned n, std::uint64_t first, std::uint64_t last, const std::u16string& name) {
    const auto entry = span().subspan(gpt.entries * sector_ + std::size_t{n} * gpt.entry_size, 128);
    for (std::size_t i = 0; i < 32; ++i) entry[i] = std::byte(i + 1);
    store_le(entry, 32, first);
    store_le(entry, 40, last);
    for (std::size_t i = 0; i < name.size(); ++i) store_le(entry, 56 + 2 * i, static_cast<std::uint16_t>(name[i]));
  }
  /// After the entries: a header with right sums.
  void gpt_header(const Gpt& gpt) {
    mbr_entry(0, 0, 0xee, 1, 0xffffffff);
    const auto header = span().subspan(gpt.header * sector_, sector_);
    std::memcpy(header.data(), "EFI PART", 8);
    store_le(header, 12, gpt.header_size);
    store_le(header, 24, gpt.header);
    store_le(header, 72, gpt.entries);
    store_le(header, 80, gpt.count);
    store_le(header, 84, gpt.entry_size);
    store_le(header, 88, sum_of_entries(gpt));
    sign(gpt);
  }
  /// The sum of a header that was changed since.
  void sign(const Gpt& gpt) {
    const auto header = span().subspan(gpt.header * sector_, sector_);
    store_le(header, 16, std::uint32_t{0});
    Crc32 crc;
    crc.add(header.first(std::min<std::size_t>(gpt.header_size, sector_)));
    store_le(header, 16, crc.value());
  }
  [[nodiscard]] std::span<std::byte> span() { return bytes_; }
  [[nodiscard]] std::uint64_t last_sector() const { return bytes_.size() / sector_ - 1; }

  /// What is read of it.
  [[nodiscard]] partitions::Table read() const {
    auto image = raw::RawImage::open(MemoryFile::containing(bytes_), nullptr).value();
    std::vector<std::unique_ptr<Image>> chain;
    chain.push_back(std::move(image));
    Disk disk(std::move(chain), {});
    auto table = partitions::read_table(disk).value();
    (void)disk.close();
    return table;
  }

 private:
  [[nodiscard]] std::uint32_t sum_of_entries(const Gpt& gpt) {
    const std::uint64_t at = gpt.entries * sector_;
    const std::uint64_t bytes = std::uint64_t{gpt.count} * gpt.entry_size;
    Crc32 crc;
    if (at < bytes_.size() && bytes <= bytes_.size() - at) crc.add(span().subspan(at, bytes));
    return crc.value();
  }
  std::uint64_t sector_;
  std::vector<std::byte> bytes_;
};

/// "1:BEGIN+LENGTH 2:..." in bytes.
inline std::string places(const partitions::Table& table) {
  std::string text;
  for (const auto& one : table.partitions) {
    text += (text.empty() ? "" : " ") + std::to_string(one.number) + ":" + std::to_string(one.where.begin.value()) +
            "+" + std::to_string(one.where.length.value());
  }
  return text;
}

}  // namespace flatimg::test
