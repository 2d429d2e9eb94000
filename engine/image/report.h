// Plain data that images tell about themselves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/aligned_buffer.h"

namespace flatimg {

/// Decoded bytes that several readers share.
class AlignedBytes {
 public:
  explicit AlignedBytes(std::size_t bytes) : size_(bytes) { (void)buffer_.at_least(bytes); }
  [[nodiscard]] std::span<std::byte> bytes() { return buffer_.at_least(size_); }
  [[nodiscard]] std::span<const std::byte> bytes() const { return buffer_.view(size_); }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  AlignedBuffer buffer_;
  std::size_t size_;
};

using Counters = std::vector<std::pair<std::string, std::uint64_t>>;

}  // namespace flatimg
