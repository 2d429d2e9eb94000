// A file that is written from its beginning to its end, in large pieces.
//
// Invariants:
//   1. What was appended is one behind the other, from byte 0 on.
//   2. It is in the host's hands after flush(), and on stable storage after finish().
// One thread.
#pragma once

#include <vector>

#include "host/host_file.h"

namespace flatimg {

class AppendedFile {
 public:
  /// `file` is empty and outlives this.
  explicit AppendedFile(HostFile& file) : file_(file) {}

  /// Where the next byte goes.
  [[nodiscard]] HostOffset end() const { return written_ + ByteCount(waiting_.size()); }
  Result<void> append(std::span<const std::byte> bytes);
  /// Other bytes for what was appended before.
  Result<void> overwrite(HostOffset at, std::span<const std::byte> bytes);
  Result<void> finish();

 private:
  Result<void> flush();

  HostFile& file_;
  HostOffset written_;
  std::vector<std::byte> waiting_;
};

}  // namespace flatimg
