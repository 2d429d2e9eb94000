// Reads tables of an image once, in large pieces, without trusting their length.
//
// Invariants:
//   1. Only what is data in the file is read: a table of 32 MiB in a hole costs nothing.
//   2. All scans together read at most a small multiple of the file, however often its tables overlap one another.
#pragma once

#include <functional>

#include "base/aligned_buffer.h"
#include "host/host_file.h"

namespace flatimg::qcow2 {

class TableScan {
 public:
  static Result<TableScan> of(HostFile& file);

  /// Gets a piece and where in the table it begins; both are multiples of 512 bytes.
  using Visit = std::function<Result<void>(ByteCount from, std::span<const std::byte> piece)>;

  /// Shows every piece of the table that is not a hole, in order. `table` begins at and spans multiples of 512 bytes.
  /// CorruptImage when the tables of the image overlap so much that walking them would take forever.
  Result<void> pieces(HostRange table, const Visit& visit);

 private:
  static constexpr ByteCount kPiece = 1_MiB;

  TableScan(HostFile& file, ByteCount budget) : file_(&file), budget_(budget) {}
  Result<HostRange> data_within(HostRange table);

  HostFile* file_;
  ByteCount budget_;
  HostRange data_{};  // a range of data that is known, from the last question to the host
  AlignedBuffer buffer_;
};

}  // namespace flatimg::qcow2
