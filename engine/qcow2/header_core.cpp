#include "qcow2/header_core.h"

#include "base/endian.h"

namespace flatimg::qcow2 {

namespace {

// Places within the bytes.
constexpr std::size_t kSize = 0;
constexpr std::size_t kL1Entries = 12;
constexpr std::size_t kL1Table = 16;
constexpr std::size_t kRefcountTable = 24;
constexpr std::size_t kRefcountTableClusters = 32;
constexpr std::size_t kSnapshots = 36;
constexpr std::size_t kSnapshotTable = 40;

}  // namespace

Result<HeaderCore> HeaderCore::read(HostFile& file) {
  HeaderCore core;
  CHECK(file.read(kAt, core.bytes_));
  return core;
}

void HeaderCore::set_size(ByteCount size) { store_be(std::span(bytes_), kSize, size.value()); }

void HeaderCore::set_l1(HostOffset at, std::uint32_t entries) {
  store_be(std::span(bytes_), kL1Entries, entries);
  store_be(std::span(bytes_), kL1Table, at.value());
}

void HeaderCore::set_refcount_table(HostOffset at, std::uint32_t clusters) {
  store_be(std::span(bytes_), kRefcountTable, at.value());
  store_be(std::span(bytes_), kRefcountTableClusters, clusters);
}

void HeaderCore::set_snapshots(HostOffset table, std::uint32_t count) {
  store_be(std::span(bytes_), kSnapshots, count);
  store_be(std::span(bytes_), kSnapshotTable, table.value());
}

}  // namespace flatimg::qcow2
