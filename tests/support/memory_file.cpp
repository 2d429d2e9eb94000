#include "support/memory_file.h"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace flatimg::test {

namespace {

constexpr std::uint64_t kBlock = MemoryFile::kBlock;

// The part of a range that lies in one block.
struct Piece {
  std::uint64_t block;
  std::size_t at;
  std::size_t bytes;
};

Piece first_piece(HostRange range) {
  const std::uint64_t at = range.begin.value() % kBlock;
  const std::uint64_t bytes = std::min(range.length.value(), kBlock - at);
  return {range.begin.value() / kBlock, static_cast<std::size_t>(at), static_cast<std::size_t>(bytes)};
}

template <class Visit>
void for_each_piece(HostRange range, Visit visit) {
  while (!range.empty()) {
    const Piece piece = first_piece(range);
    visit(piece);
    range = range.without_first(ByteCount(piece.bytes));
  }
}

FileIdentity fresh_identity() {
  static std::atomic<std::uint64_t> last = 0;
  return {~std::uint64_t{0}, ++last};  // a device that no real file has
}

}  // namespace

MemoryFile::MemoryFile(std::string name, Access access)
    : name_(std::move(name)), access_(access), identity_(fresh_identity()) {}

std::unique_ptr<MemoryFile> MemoryFile::containing(std::span<const std::byte> bytes, std::string name, Access access) {
  auto file = std::make_unique<MemoryFile>(std::move(name), access);
  file->write_part(HostOffset(), bytes);
  return file;
}

std::unique_ptr<MemoryFile> MemoryFile::copy() const {
  auto file = std::make_unique<MemoryFile>(name_, access_);
  const std::lock_guard lock(mutex_);
  file->blocks_ = blocks_;
  file->size_ = size_;
  return file;
}

std::vector<std::byte> MemoryFile::contents() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::byte> result(static_cast<std::size_t>(size_.value()));
  for (const auto& [block, bytes] : blocks_) {
    const std::size_t at = static_cast<std::size_t>(block * kBlock);
    if (at < result.size()) std::memcpy(&result[at], bytes.data(), std::min<std::size_t>(kBlock, result.size() - at));
  }
  return result;
}

Result<void> MemoryFile::must_be_writable() const {
  if (!writable()) return fail(ErrorKind::Denied, "{}: cannot write: opened for reading only", name_);
  return {};
}

void MemoryFile::grow_to(HostOffset end) { size_ = std::max(size_, end - HostOffset()); }

void MemoryFile::write_part(HostOffset at, std::span<const std::byte> bytes) {
  for_each_piece({at, ByteCount(bytes.size())}, [&](Piece piece) {
    std::memcpy(&blocks_[piece.block][piece.at], bytes.data(), piece.bytes);
    bytes = bytes.subspan(piece.bytes);
    at += ByteCount(piece.bytes);
  });
  grow_to(at);
}

void MemoryFile::clear(HostRange range, Space space) {
  // Whole blocks are visited through the map: a range may be much longer than what is there.
  auto found = blocks_.lower_bound(range.begin.value() / kBlock);
  while (found != blocks_.end() && found->first * kBlock < range.end().value()) {
    const HostRange block{HostOffset(found->first * kBlock), ByteCount(kBlock)};
    const HostRange part = intersection(block, range);
    if (part == block && space == Space::Release) {
      found = blocks_.erase(found);
      continue;
    }
    std::memset(&found->second[first_piece(part).at], 0, first_piece(part).bytes);
    ++found;
  }
}

Result<void> MemoryFile::read(HostOffset at, std::span<std::byte> out) {
  const std::lock_guard lock(mutex_);
  std::ranges::fill(out, std::byte{0});
  for_each_piece({at, ByteCount(out.size())}, [&](Piece piece) {
    const auto found = blocks_.find(piece.block);
    if (found != blocks_.end()) std::memcpy(out.data(), &found->second[piece.at], piece.bytes);
    out = out.subspan(piece.bytes);
  });
  return {};
}

Result<void> MemoryFile::write(HostOffset at, std::span<const std::span<const std::byte>> parts) {
  CHECK(must_be_writable());
  const std::lock_guard lock(mutex_);
  for (const auto part : parts) {
    if (part.empty()) continue;
    write_part(at, part);
    at += ByteCount(part.size());
  }
  return {};
}

Result<void> MemoryFile::zero(HostRange range, Space space) {
  CHECK(must_be_writable());
  if (range.empty()) return {};
  const std::lock_guard lock(mutex_);
  clear(range, space);
  if (space == Space::Keep) grow_to(range.end());
  return {};
}

Result<void> MemoryFile::reserve(HostRange range) {
  CHECK(must_be_writable());
  const std::lock_guard lock(mutex_);
  if (!range.empty()) grow_to(range.end());
  return {};
}

Result<ByteCount> MemoryFile::size() {
  const std::lock_guard lock(mutex_);
  return size_;
}

Result<void> MemoryFile::resize(ByteCount size) {
  CHECK(must_be_writable());
  const std::lock_guard lock(mutex_);
  if (size < size_)
    clear(HostRange::between(HostOffset() + size, HostOffset() + align_up(size_, ByteCount(kBlock))), Space::Release);
  size_ = size;
  return {};
}

Result<HostRange> MemoryFile::next_data(HostOffset from) {
  const std::lock_guard lock(mutex_);
  const HostOffset end = HostOffset() + size_;
  auto found = blocks_.lower_bound(from.value() / kBlock);
  if (found == blocks_.end() || from >= end) return HostRange{from, ByteCount()};
  const HostOffset begin = std::max(from, HostOffset(found->first * kBlock));
  std::uint64_t behind = found->first;
  for (; found != blocks_.end() && found->first == behind; ++found) ++behind;
  return HostRange::between(begin, std::min(end, HostOffset(behind * kBlock)));
}

Result<ByteCount> MemoryFile::allocated() {
  const std::lock_guard lock(mutex_);
  return ByteCount(blocks_.size() * kBlock);
}

}  // namespace flatimg::test
