// Memory for I/O: page aligned, grows, never shrinks, contents undefined after growing.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>
#include <utility>

namespace flatimg {

class AlignedBuffer {
 public:
  static constexpr std::size_t kAlignment = 4096;

  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t bytes) { (void)at_least(bytes); }

  /// The first `bytes` bytes, after growing if necessary. Throws std::bad_alloc.
  [[nodiscard]] std::span<std::byte> at_least(std::size_t bytes) {
    if (bytes > size_) {
      const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
      auto* fresh = static_cast<std::byte*>(std::aligned_alloc(kAlignment, rounded));
      if (fresh == nullptr) throw std::bad_alloc();
      memory_.reset(fresh);
      size_ = rounded;
    }
    return {memory_.get(), bytes};
  }
  /// The first `bytes` bytes of what is there already.
  [[nodiscard]] std::span<const std::byte> view(std::size_t bytes) const { return {memory_.get(), bytes}; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::size_t size_ = 0;
};

/// Decoded bytes that several readers share.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  explicit AlignedBytes(std::size_t bytes) : AlignedBytes(AlignedBuffer(bytes), bytes) {}
  /// In memory that has room for them.
  AlignedBytes(AlignedBuffer memory, std::size_t bytes) : buffer_(std::move(memory)), size_(bytes) {}
  [[nodiscard]] std::span<std::byte> bytes() { return buffer_.at_least(size_); }
  [[nodiscard]] std::span<const std::byte> bytes() const { return buffer_.view(size_); }
  [[nodiscard]] std::size_t size() const { return size_; }
  /// The memory, for other bytes.
  [[nodiscard]] AlignedBuffer memory() && { return std::move(buffer_); }

 private:
  AlignedBuffer buffer_;
  std::size_t size_ = 0;
};

}  // namespace flatimg
