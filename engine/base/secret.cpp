// The only file of the engine outside of host that asks the system for pages: a key must not be written anywhere.
#include "base/secret.h"

#include <sys/mman.h>

#include <cassert>
#include <cstring>
#include <new>

namespace flatimg {

namespace {

constexpr std::size_t kPage = 4096;

}  // namespace

// Locking may be forbidden (RLIMIT_MEMLOCK); a key that can be swapped is better than no access to one's data.
Secret::Secret(std::size_t bytes) : size_(bytes), mapped_((bytes + kPage - 1) / kPage * kPage) {
  if (bytes == 0) return;
  void* pages = ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<std::byte*>(pages);
  (void)::mlock(pages, mapped_);
  (void)::madvise(pages, mapped_, MADV_DONTDUMP);
}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this == &other) return *this;
  release();
  memory_ = std::exchange(other.memory_, nullptr);
  size_ = std::exchange(other.size_, 0);
  mapped_ = std::exchange(other.mapped_, 0);
  return *this;
}

Secret Secret::copy(std::span<const std::byte> bytes) {
  Secret secret(bytes.size());
  if (!bytes.empty()) std::memcpy(secret.memory_, bytes.data(), bytes.size());
  return secret;
}

void Secret::shrink_to(std::size_t bytes) {
  assert(bytes <= size_);
  if (bytes < size_) ::explicit_bzero(memory_ + bytes, size_ - bytes);
  size_ = bytes;
}

void Secret::release() {
  if (memory_ == nullptr) return;
  ::explicit_bzero(memory_, mapped_);
  ::munmap(memory_, mapped_);
  memory_ = nullptr;
}

}  // namespace flatimg
