#include "raw/create.h"

#include <vector>

namespace flatimg::raw {

namespace {

constexpr std::size_t kPiece = 1u << 20;

Result<void> write_zeroes(HostFile& file, HostRange range) {
  const std::vector<std::byte> zeroes(kPiece);
  for (HostRange left = range; !left.empty(); left = left.without_first(ByteCount(kPiece))) {
    const HostRange now = left.first(ByteCount(kPiece));
    CHECK(file.write(now.begin, std::span(zeroes).first(now.length.value())));
  }
  return {};
}

}  // namespace

Result<void> create(HostFile& file, ByteCount size, Reserve reserve) {
  const HostRange whole{HostOffset(), size};
  if (file.is_block_device()) {
    TRY(const ByteCount capacity, file.size());
    if (capacity < size) {
      return fail(ErrorKind::NoSpace, "the device has only {} bytes", capacity.value());
    }
    return {};
  }
  CHECK(file.resize(size));
  if (reserve == Reserve::Space && !size.is_zero()) CHECK(file.reserve(whole));
  if (reserve == Reserve::Written) CHECK(write_zeroes(file, whole));
  return file.barrier();
}

}  // namespace flatimg::raw
