// Reads entries of varying length one behind the other (snapshot table, bitmap directory), through a small buffer.
#pragma once

#include "base/aligned_buffer.h"
#include "host/host_file.h"

namespace flatimg::qcow2 {

class ForwardReader {
 public:
  ForwardReader(HostFile& file, HostOffset begin) : file_(&file), begin_(begin) {}

  /// The next bytes (at most 64 KiB); valid until the next call. What lies beyond the end of the file is zeroes.
  Result<std::span<const std::byte>> next(std::size_t bytes) {
    if (bytes > kWindow) return fail(ErrorKind::Limit, "an entry with {} bytes in one piece is too long", bytes);
    if (taken_ < window_begin_ || taken_ + bytes > window_begin_ + window_) {
      window_ = 0;  // nothing is there while the read may fail
      CHECK(file_->read(begin_ + ByteCount(taken_), buffer_.at_least(kWindow)));
      window_begin_ = taken_;
      window_ = kWindow;
    }
    const auto found = buffer_.view(kWindow).subspan(taken_ - window_begin_, bytes);
    taken_ += bytes;
    return found;
  }
  void skip(std::uint64_t bytes) { taken_ += bytes; }
  /// Skips to the next multiple of `unit` bytes from the beginning.
  void align(std::uint64_t unit) { taken_ = (taken_ + unit - 1) / unit * unit; }
  [[nodiscard]] ByteCount taken() const { return ByteCount(taken_); }

 private:
  static constexpr std::size_t kWindow = 65536;

  HostFile* file_;
  HostOffset begin_;
  std::uint64_t taken_ = 0;
  std::uint64_t window_begin_ = 0;
  std::size_t window_ = 0;
  AlignedBuffer buffer_;
};

}  // namespace flatimg::qcow2
