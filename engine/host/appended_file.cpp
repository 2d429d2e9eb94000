#include "host/appended_file.h"

#include <algorithm>
#include <array>

namespace flatimg {

namespace {

constexpr std::size_t kMostWaiting = std::size_t{1} << 20;

}  // namespace

Result<void> AppendedFile::append(std::span<const std::byte> bytes) {
  if (waiting_.size() + bytes.size() <= kMostWaiting) {
    waiting_.insert(waiting_.end(), bytes.begin(), bytes.end());
    return {};
  }
  const std::array parts{std::span<const std::byte>(waiting_), bytes};
  CHECK(file_.write(written_, parts));
  written_ += ByteCount(waiting_.size() + bytes.size());
  waiting_.clear();
  return {};
}

Result<void> AppendedFile::overwrite(HostOffset at, std::span<const std::byte> bytes) {
  assert(at + ByteCount(bytes.size()) <= end());
  if (at < written_) CHECK(flush());
  if (at < written_) return file_.write(at, bytes);
  std::ranges::copy(bytes, waiting_.begin() + static_cast<std::ptrdiff_t>((at - written_).value()));
  return {};
}

Result<void> AppendedFile::flush() {
  if (waiting_.empty()) return {};
  CHECK(file_.write(written_, waiting_));
  written_ += ByteCount(waiting_.size());
  waiting_.clear();
  return {};
}

Result<void> AppendedFile::finish() {
  CHECK(flush());
  return file_.barrier();
}

}  // namespace flatimg
