#include "seekable_zstd/frame_header.h"

#include <array>
#include <cassert>

#include "base/endian.h"

namespace flatimg::seekable_zstd {

namespace {

// A little-endian number of 0 to 8 bytes.
std::uint64_t number(std::span<const std::byte> bytes, std::size_t at, std::size_t length) {
  std::uint64_t value = 0;
  for (std::size_t n = 0; n < length; ++n) value |= std::to_integer<std::uint64_t>(bytes[at + n]) << 8 * n;
  return value;
}

constexpr std::array<std::size_t, 4> kDictionaryBytes{0, 1, 2, 4};
constexpr std::array<std::size_t, 4> kContentBytes{0, 2, 4, 8};
constexpr std::uint64_t kTwoByteBase = 256;  // what a content size of two bytes begins with

}  // namespace

Result<FrameHeader> parse_frame_header(std::span<const std::byte> bytes) {
  assert(bytes.size() >= kLongestFrameHeader && load_le<std::uint32_t>(bytes, 0) == kFrameMagic);
  const auto descriptor = std::to_integer<unsigned>(bytes[4]);
  const bool single_segment = (descriptor >> 5 & 1) != 0;
  if ((descriptor >> 3 & 1) != 0) return fail(ErrorKind::CorruptImage, "a frame with reserved bits");
  FrameHeader header;
  header.checksum_follows = (descriptor >> 2 & 1) != 0;
  std::size_t at = single_segment ? 5 : 6;  // behind the window
  const std::size_t dictionary_bytes = kDictionaryBytes[descriptor & 3];
  header.dictionary = static_cast<std::uint32_t>(number(bytes, at, dictionary_bytes));
  at += dictionary_bytes;
  const std::size_t content_bytes = descriptor >> 6 == 0 && single_segment ? 1 : kContentBytes[descriptor >> 6];
  if (content_bytes != 0) header.content = number(bytes, at, content_bytes) + (content_bytes == 2 ? kTwoByteBase : 0);
  header.length = at + content_bytes;
  return header;
}

BlockHeader parse_block_header(std::span<const std::byte> bytes) {
  const auto word = static_cast<std::uint32_t>(number(bytes, 0, kBlockHeader));
  return {static_cast<BlockHeader::Kind>(word >> 1 & 3), (word & 1) != 0, word >> 3};
}

}  // namespace flatimg::seekable_zstd
