// Memory for passphrases and keys: pages of its own, kept out of swap and core dumps where the system allows it, and
// wiped before they are given back.
//
// Invariants:
//   1. A Secret never moves its bytes and never copies them unless copy() is called.
//   2. Nobody formats, logs or compares a Secret as text; there is deliberately no way to make a string of it.
//
// Locks on memory do not survive a fork: a process that keeps a Secret for long makes it after its last fork.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

namespace flatimg {

class Secret {
 public:
  Secret() = default;
  /// That many zero bytes. Throws std::bad_alloc.
  explicit Secret(std::size_t bytes);
  ~Secret() { release(); }
  Secret(Secret&& other) noexcept
      : memory_(std::exchange(other.memory_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        mapped_(std::exchange(other.mapped_, 0)) {}
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;

  [[nodiscard]] static Secret copy(std::span<const std::byte> bytes);

  [[nodiscard]] std::span<std::byte> bytes() { return {memory_, size_}; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return {memory_, size_}; }
  [[nodiscard]] std::size_t size() const { return size_; }

  /// Forgets everything behind the first `bytes` bytes.
  void shrink_to(std::size_t bytes);

 private:
  void release();

  std::byte* memory_ = nullptr;
  std::size_t size_ = 0;
  std::size_t mapped_ = 0;
};

}  // namespace flatimg
