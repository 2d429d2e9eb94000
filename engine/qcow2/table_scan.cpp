#include "qcow2/table_scan.h"

#include "base/checked.h"

namespace flatimg::qcow2 {

namespace {

constexpr std::uint64_t kMostReadsOfEachByte = 4;
constexpr ByteCount kLeastBudget = 64_MiB;

}  // namespace

Result<TableScan> TableScan::of(HostFile& file) {
  TRY(const ByteCount size, file.size());
  const auto budget = checked_multiply(size.value(), kMostReadsOfEachByte);
  const auto with_least = budget ? checked_add(*budget, kLeastBudget.value()) : std::nullopt;
  return TableScan(file, ByteCount(with_least.value_or(~std::uint64_t{0})));
}

Result<HostRange> TableScan::data_within(HostRange table) {
  if (!data_.contains(table.begin)) {
    TRY(data_, file_->next_data(table.begin));
    if (data_.empty()) return HostRange{table.end(), ByteCount()};
    data_ = data_.widened_to(512_B);
  }
  return intersection(table, data_);
}

Result<void> TableScan::pieces(HostRange table, const Visit& visit) {
  HostRange left = table;
  while (!left.empty()) {
    TRY(const HostRange data, data_within(left));
    if (data.empty()) break;
    const HostRange now = data.first(kPiece);
    if (now.length > budget_) {
      return fail(ErrorKind::CorruptImage, "the tables of the image overlap one another, too much to walk them all");
    }
    budget_ -= now.length;
    const auto piece = buffer_.at_least(now.length.value());
    CHECK(file_->read(now.begin, piece));
    CHECK(visit(now.begin - table.begin, piece));
    left = HostRange::between(now.end(), table.end());
  }
  return {};
}

}  // namespace flatimg::qcow2
