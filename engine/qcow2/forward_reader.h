// Reads entries of varying length one behind the other (snapshot table, bitmap directory), through a small buffer.
#pragma once

#include "host/record_reader.h"

namespace flatimg::qcow2 {

class ForwardReader {
 public:
  ForwardReader(HostFile& file, HostOffset begin) : reader_(file), begin_(begin) {}

  /// The next bytes (at most 64 KiB); valid until the next call. What lies beyond the end of the file is zeroes.
  Result<std::span<const std::byte>> next(std::size_t bytes) {
    if (bytes > RecordReader::kLargestRecord.value()) {
      return fail(ErrorKind::Limit, "an entry with {} bytes in one piece is too long", bytes);
    }
    TRY(const auto found, reader_.read({begin_ + ByteCount(taken_), ByteCount(bytes)}));
    taken_ += bytes;
    return found;
  }
  void skip(std::uint64_t bytes) { taken_ += bytes; }
  /// Skips to the next multiple of `unit` bytes from the beginning.
  void align(std::uint64_t unit) { taken_ = (taken_ + unit - 1) / unit * unit; }
  [[nodiscard]] ByteCount taken() const { return ByteCount(taken_); }

 private:
  RecordReader reader_;
  HostOffset begin_;
  std::uint64_t taken_ = 0;
};

}  // namespace flatimg::qcow2
