// Reads small records at rising places of a file, such as headers with data between them: where they lie close together
// one read fetches many, where they lie far apart each costs a small one.
//
// Invariant: no memory but one window of at most 64 KiB. One thread at a time.
#pragma once

#include <span>
#include <vector>

#include "host/host_file.h"

namespace flatimg {

class RecordReader {
 public:
  static constexpr ByteCount kLargestRecord{65536};

  /// `file` outlives it.
  explicit RecordReader(HostFile& file) : file_(&file) {}

  /// The bytes of the record, zeroes behind the end of the file; valid until the next call. At most kLargestRecord.
  Result<std::span<const std::byte>> read(HostRange record);

 private:
  Result<void> move_to(HostRange record);

  HostFile* file_;
  HostRange window_;  // what bytes_ hold; empty behind an error
  std::vector<std::byte> bytes_;
};

}  // namespace flatimg
