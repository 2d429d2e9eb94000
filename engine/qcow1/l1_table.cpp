#include "qcow1/l1_table.h"

#include <algorithm>
#include <array>

#include "base/endian.h"
#include "base/text.h"
#include "crypto/derive.h"
#include "host/host_file.h"
#include "qcow1/layout.h"

namespace flatimg::qcow1 {

namespace {

using Words = std::vector<std::uint64_t>;

std::vector<std::byte> bytes_of(const Words& words, ByteOrder order) {
  std::vector<std::byte> bytes(8 * words.size());
  for (std::size_t n = 0; n < words.size(); ++n) {
    store_be(std::span(bytes), 8 * n, order == ByteOrder::Big ? words[n] : byte_swapped(words[n]));
  }
  return bytes;
}

void swap_bytes(Words& words) {
  std::ranges::transform(words, words.begin(), [](std::uint64_t word) { return byte_swapped(word); });
}

bool plausible(const Words& words, ByteCount file_size) {
  return std::ranges::all_of(
      words, [&](std::uint64_t word) { return word % kXenAlignment.value() == 0 && word < file_size.value(); });
}

Result<Words> read_words(HostFile& file, const Header& header) {
  Words words(header.l1_entries);
  std::vector<std::byte> piece(std::min<std::uint64_t>(header.l1_range().length.value(), 1u << 20));
  for (std::size_t done = 0; done < words.size(); done += piece.size() / 8) {
    const std::size_t count = std::min(piece.size() / 8, words.size() - done);
    CHECK(file.read(header.l1_table + ByteCount(8 * done), std::span(piece).first(8 * count)));
    for (std::size_t n = 0; n < count; ++n) words[done + n] = load_be<std::uint64_t>(piece, 8 * n);
  }
  return words;
}

Result<L1Table> in_its_order(Words words, const Header& header, ByteCount file_size) {
  L1Table table{std::move(words)};
  if (!header.xen || header.xen->has(xen_flag::kL1BigEndian)) return table;
  swap_bytes(table.words);
  table.order = ByteOrder::Little;
  if (plausible(table.words, file_size)) return table;
  swap_bytes(table.words);
  table.order = ByteOrder::Big;
  if (plausible(table.words, file_size)) return table;
  return fail(ErrorKind::CorruptImage, "the L1 table makes sense in neither byte order");
}

// --- whether its entries can be tables ------------------------------------------------------------------------------

// Where a table that was recorded, but not written, may begin.
HostOffset expected_end(const Header& header, ByteCount file_size) {
  return align_up(HostOffset(file_size.value()), header.cluster());
}

Result<void> check_entry(const Header& header, std::uint64_t index, HostOffset table, ByteCount file_size) {
  if (!(table % kSector).is_zero()) {
    return fail(ErrorKind::CorruptImage, "L1 entry {} ({:#x}) is not aligned", index, table.value());
  }
  if (table.value() < file_size.value() || table == expected_end(header, file_size)) return {};
  return fail(ErrorKind::InvalidImage,
              "the L2 table of L1 entry {} at byte {} lies behind the end of the file: the image is truncated", index,
              table.value());
}

Result<void> check_apart(const Header& header, const Words& words) {
  std::vector<HostRange> ranges{{HostOffset(0), header.own_bytes()}, header.l1_range()};
  for (const std::uint64_t word : words) {
    if (word != 0) ranges.push_back({HostOffset(word), header.l2_bytes()});
  }
  std::ranges::sort(ranges, {}, [](const HostRange& range) { return range.begin; });
  for (std::size_t n = 1; n < ranges.size(); ++n) {
    if (ranges[n - 1].overlaps(ranges[n])) {
      return fail(ErrorKind::CorruptImage, "two tables lie on each other at byte {}", ranges[n].begin.value());
    }
  }
  return {};
}

Result<L1Table> read_table(HostFile& file, const Header& header) {
  TRY(const ByteCount size, file.size());
  TRY(Words words, read_words(file, header));
  TRY(L1Table table, in_its_order(std::move(words), header, size));
  for (std::size_t n = 0; n < table.words.size(); ++n) {
    if (table.words[n] != 0) CHECK(check_entry(header, n, HostOffset(table.words[n]), size));
  }
  CHECK(check_apart(header, table.words));
  if (header.xen) {
    TRY(const std::uint32_t big, l1_checksum(table.words, ByteOrder::Big));
    TRY(const std::uint32_t stored, l1_checksum(table.words, table.order));
    table.checksum_right = header.xen->checksum == big || header.xen->checksum == stored;
  }
  return table;
}

}  // namespace

// On a machine with little-endian words, the first word of a digest stands in the file with its bytes reversed.
Result<std::uint32_t> l1_checksum(const std::vector<std::uint64_t>& words, ByteOrder order) {
  std::array<std::byte, 4> first{};
  CHECK(crypto::digest(crypto::Hash::Md5, bytes_of(words, order), first));
  return load_le<std::uint32_t>(std::span<const std::byte>(first), 0);
}

bool in_extents(const Header& header, const L1Table& table) {
  return header.xen && header.xen->clusters_at_once == header.l2_entries() && table.checksum_right;
}

Result<L1Table> read_l1_table(HostFile& file, const Header& header) {
  auto table = read_table(file, header);
  if (!table) return Failure(std::move(table.error()).within(shown(file.name())));
  return table;
}

}  // namespace flatimg::qcow1
