#include "qcow1/table_scan.h"

#include "base/endian.h"

namespace flatimg::qcow1 {

// The first part of the table that is data, in whole sectors.
Result<HostRange> TableScan::data_in(HostRange table) {
  if (!data_.contains(table.begin)) {
    TRY(data_, file_.next_data(table.begin));
    if (data_.empty()) return HostRange{table.end(), ByteCount()};
    data_ = data_.widened_to(kSector);
  }
  return intersection(table, data_);
}

// Shows every entry of the table that is not 0, with its index.
Result<void> TableScan::entries(HostOffset table, const Visit& visit) {
  HostRange left{table, layout_.table_bytes()};
  while (!left.empty()) {
    TRY(const HostRange data, data_in(left));
    if (data.empty()) break;
    const auto bytes = buffer_.at_least(data.length.value());
    CHECK(file_.read(data.begin, bytes));
    const std::uint64_t first = (data.begin - table).value() / 8;
    for (std::size_t n = 0; n < bytes.size() / 8; ++n) {
      const auto entry = load_be<std::uint64_t>(bytes, 8 * n);
      if (entry != 0) CHECK(visit(first + n, entry));
    }
    left = HostRange::between(data.end(), left.end());
  }
  return {};
}

Result<void> TableScan::walk(const L1Table& l1, const TableWalk& wanted) {
  std::uint64_t tables_left = wanted.most_tables;
  for (std::uint64_t index = 0; index < l1.words.size() && tables_left > 0; ++index) {
    tell(wanted.progress, index, l1.words.size());
    if (l1.words[index] == 0) continue;
    --tables_left;
    const HostOffset table(l1.words[index]);
    const GuestOffset first(index * layout_.span().value());
    if (wanted.table) CHECK(wanted.table(table));
    CHECK(entries(table, [&](std::uint64_t nth, std::uint64_t entry) {
      return wanted.cluster(first + layout_.cluster() * nth, layout_.meaning(entry));
    }));
  }
  tell(wanted.progress, 1, 1);
  return {};
}

}  // namespace flatimg::qcow1
