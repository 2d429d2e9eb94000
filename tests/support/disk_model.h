// What a disk should contain: plain bytes, and which of them were changed since the last reopening.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include "base/range.h"

namespace flatimg::test {

class DiskModel {
 public:
  explicit DiskModel(std::vector<std::byte> content) : content_(std::move(content)) {}

  [[nodiscard]] ByteCount size() const { return ByteCount(content_.size()); }
  [[nodiscard]] std::span<const std::byte> bytes(GuestRange range) const {
    return std::span(content_).subspan(range.begin.value(), range.length.value());
  }
  void write(GuestOffset at, std::span<const std::byte> data) {
    std::memcpy(content_.data() + at.value(), data.data(), data.size());
  }
  void zero(GuestRange range) { std::memset(content_.data() + range.begin.value(), 0, range.length.value()); }
  void resize(ByteCount size) { content_.resize(size.value()); }
  [[nodiscard]] std::span<const std::byte> all() const { return content_; }

 private:
  std::vector<std::byte> content_;
};

}  // namespace flatimg::test
