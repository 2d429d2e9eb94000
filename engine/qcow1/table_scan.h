// Reads the entries of all L2 tables, one table after the other. Only what is data in the file is read: a table in a
// hole costs nothing.
#pragma once

#include <functional>

#include "base/aligned_buffer.h"
#include "base/progress.h"
#include "host/host_file.h"
#include "qcow1/l1_table.h"
#include "qcow1/layout.h"

namespace flatimg::qcow1 {

/// What a walk over the tables shows. Each function may end it with an error.
struct TableWalk {
  /// Every guest cluster that has an entry, in the order of the disk.
  std::function<Result<void>(GuestOffset guest, const Meaning& meaning)> cluster;
  std::function<Result<void>(HostOffset table)> table = {};  // in front of its clusters
  std::uint64_t most_tables = ~std::uint64_t{0};             // those behind them are not looked at
  Progress progress = {};
};

class TableScan {
 public:
  TableScan(HostFile& file, const Layout& layout) : file_(file), layout_(layout) {}

  /// Walks the tables that `l1` names. Fails where the host cannot read.
  Result<void> walk(const L1Table& l1, const TableWalk& wanted);

 private:
  using Visit = std::function<Result<void>(std::uint64_t index, std::uint64_t entry)>;
  Result<void> entries(HostOffset table, const Visit& visit);
  Result<HostRange> data_in(HostRange table);

  HostFile& file_;
  const Layout layout_;
  HostRange data_{};  // known from the last question to the host
  AlignedBuffer buffer_;
};

}  // namespace flatimg::qcow1
