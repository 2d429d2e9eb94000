#include "qcow2/counters_on_disk.h"

#include <algorithm>

#include "qcow2/header.h"
#include "qcow2/table_scan.h"

namespace flatimg::qcow2 {

namespace {

constexpr std::uint64_t kWindow = 65536;

}  // namespace

CountersOnDisk::CountersOnDisk(HostFile& file, const Header& header)
    : file_(&file),
      layout_(header),
      table_(check_refcount_table(header) ? header.refcount_table_clusters * header.cluster().value() / 8 : 0),
      window_bytes_(std::min(kWindow, header.cluster().value())) {}

Result<CountersOnDisk> CountersOnDisk::of(HostFile& file, const Header& header) {
  CountersOnDisk counters(file, header);
  TRY(TableScan scan, TableScan::of(file));
  const HostRange table{header.refcount_table, ByteCount(counters.table_.size() * 8)};
  CHECK(scan.pieces(table, [&](ByteCount from, std::span<const std::byte> piece) -> Result<void> {
    for (std::size_t at = 0; at < piece.size(); at += 8) {
      counters.table_[(from.value() + at) / 8] = load_be<std::uint64_t>(piece, at);
    }
    return {};
  }));
  return counters;
}

std::uint64_t CountersOnDisk::block_at(std::uint64_t cluster) const {
  const std::uint64_t block = cluster / layout_.counters_per_block();
  return block < table_.size() ? table_[block] & ~kRefcountTableReserved : 0;
}

bool CountersOnDisk::has_block(std::uint64_t cluster) const { return block_at(cluster) != 0; }

std::uint64_t CountersOnDisk::end_of_block(std::uint64_t cluster) const {
  return (cluster / layout_.counters_per_block() + 1) * layout_.counters_per_block();
}

ByteCount CountersOnDisk::place_in_block(std::uint64_t cluster) const {
  return ByteCount((cluster % layout_.counters_per_block() << layout_.refcount_order()) / 8);
}

Result<void> CountersOnDisk::fill_window(std::uint64_t cluster) {
  CHECK(write_back());
  const std::uint64_t counters = window_bytes_ * 8 >> layout_.refcount_order();
  const std::uint64_t first = cluster / counters * counters;
  window_first_ = window_end_ = 0;  // nothing is there while the read may fail
  window_at_ = HostOffset(block_at(cluster)) + place_in_block(first);
  CHECK(file_->read(window_at_, window_.at_least(window_bytes_)));
  window_first_ = first;
  window_end_ = first + counters;
  return {};
}

Result<std::optional<std::uint64_t>> CountersOnDisk::count_of(std::uint64_t cluster) {
  if (cluster < window_first_ || cluster >= window_end_) {
    const std::uint64_t block = block_at(cluster);
    if (block == 0) return std::optional<std::uint64_t>(0);
    if (block % layout_.cluster().value() != 0) return std::optional<std::uint64_t>();
    CHECK(fill_window(cluster));
  }
  return std::optional(read_counter(window_.view(window_bytes_), cluster - window_first_, layout_.refcount_order()));
}

void CountersOnDisk::set(std::uint64_t cluster, std::uint64_t count) {
  assert(cluster >= window_first_ && cluster < window_end_);
  write_counter(window_.at_least(window_bytes_), cluster - window_first_, layout_.refcount_order(), count);
  const HostRange sector = HostRange{HostOffset(block_at(cluster)) + place_in_block(cluster), 1_B}.widened_to(512_B);
  changed_ = changed_.empty()
                 ? sector
                 : HostRange::between(std::min(changed_.begin, sector.begin), std::max(changed_.end(), sector.end()));
}

Result<void> CountersOnDisk::write_back() {
  if (changed_.empty()) return {};
  const auto bytes =
      window_.view(window_bytes_).subspan((changed_.begin - window_at_).value(), changed_.length.value());
  CHECK(file_->write(changed_.begin, bytes));
  changed_ = {};
  return {};
}

}  // namespace flatimg::qcow2
