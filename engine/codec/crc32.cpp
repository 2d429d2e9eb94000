#include "codec/crc32.h"

#include <libdeflate.h>
#include <zlib.h>

#include <array>
#include <cassert>

namespace flatimg {

namespace {

// Up to here computing directly is faster than combining.
constexpr std::size_t kDirect = 65536;

std::uint32_t combined(std::uint32_t first, std::uint32_t second, std::uint64_t length_of_second) {
  return static_cast<std::uint32_t>(crc32_combine(first, second, static_cast<z_off_t>(length_of_second)));
}

}  // namespace

void Crc32::add(std::span<const std::byte> bytes) { value_ = libdeflate_crc32(value_, bytes.data(), bytes.size()); }

// The CRC of twice as much follows from that of once; what the length's binary digits name is put together.
void Crc32::add_repeated(std::uint32_t word, ByteCount length) {
  assert(length.value() % sizeof word == 0);
  std::array<std::uint32_t, kDirect / sizeof word> words{};
  words.fill(word);
  const auto direct = std::as_bytes(std::span(words));
  add(direct.first(length.value() % kDirect));
  std::uint32_t doubled = libdeflate_crc32(0, direct.data(), direct.size());
  std::uint64_t doubled_length = kDirect;
  for (std::uint64_t left = length.value() / kDirect; left != 0; left >>= 1) {
    if ((left & 1) != 0) value_ = combined(value_, doubled, doubled_length);
    if (left > 1) doubled = combined(doubled, doubled, doubled_length);
    doubled_length *= 2;
  }
}

void Crc32::add(const Crc32& behind, ByteCount length) { value_ = combined(value_, behind.value_, length.value()); }

}  // namespace flatimg
