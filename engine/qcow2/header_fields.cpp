#include "qcow2/header_fields.h"

#include <array>

#include "base/endian.h"

namespace flatimg::qcow2 {

namespace {

Result<void> write_word(HostFile& file, HostOffset at, std::uint64_t word) {
  std::array<std::byte, 8> bytes{};
  store_be(std::span(bytes), 0, word);
  return file.write(at, std::span<const std::byte>(bytes));
}

constexpr std::size_t from_sector(HostOffset field) { return static_cast<std::size_t>(field.value()); }

}  // namespace

Result<void> write_table_pointers(HostFile& file, const Header& header) {
  std::array<std::byte, 512> sector{};
  CHECK(file.read(HostOffset(0), sector));
  const std::span<std::byte> bytes(sector);
  const std::size_t begin = from_sector(field::kRefcountTable);
  std::size_t end = from_sector(field::kSnapshots) + 12;
  store_be(bytes, begin, header.refcount_table.value());
  store_be(bytes, begin + 8, header.refcount_table_clusters);
  store_be(bytes, from_sector(field::kSnapshots), header.snapshots);
  store_be(bytes, from_sector(field::kSnapshots) + 4, header.snapshot_table.value());
  if (header.version >= 3) {
    store_be(bytes, from_sector(field::kRefcountOrder), std::uint32_t{header.refcount_order});
    end = from_sector(field::kRefcountOrder) + 4;
  }
  return file.write(field::kRefcountTable, std::span<const std::byte>(bytes.subspan(begin, end - begin)));
}

Result<void> write_incompatible(HostFile& file, std::uint64_t bits) {
  return write_word(file, field::kIncompatible, bits);
}

Result<void> write_autoclear(HostFile& file, std::uint64_t bits) { return write_word(file, field::kAutoclear, bits); }

}  // namespace flatimg::qcow2
