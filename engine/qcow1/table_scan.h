// Reads the entries of L2 tables one table after the other. Only what is data in the file is read: a table in a hole
// costs nothing.
#pragma once

#include <functional>

#include "base/aligned_buffer.h"
#include "host/host_file.h"
#include "qcow1/layout.h"

namespace flatimg::qcow1 {

class TableScan {
 public:
  explicit TableScan(HostFile& file) : file_(file) {}

  /// Shows every entry of the table that is not 0, with its index. Stops with the first error.
  using Visit = std::function<Result<void>(std::uint64_t index, std::uint64_t entry)>;
  Result<void> entries(HostOffset table, const Layout& layout, const Visit& visit);

 private:
  Result<HostRange> data_in(HostRange table);

  HostFile& file_;
  HostRange data_{};  // known from the last question to the host
  AlignedBuffer buffer_;
};

}  // namespace flatimg::qcow1
