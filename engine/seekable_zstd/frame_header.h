// The first bytes of a zstd frame (RFC 8878, section 3.1.1), and those of a block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"

namespace flatimg::seekable_zstd {

inline constexpr std::uint32_t kFrameMagic = 0xFD2FB528;
inline constexpr std::size_t kSkippableHeader = 8;  // magic and the length of what follows
inline constexpr std::size_t kLongestFrameHeader = 18;
inline constexpr std::size_t kBlockHeader = 3;
inline constexpr std::uint32_t kMostBlockContent = 128u << 10;

[[nodiscard]] constexpr bool is_skippable(std::uint32_t magic) { return (magic & 0xfffffff0) == 0x184D2A50; }

struct FrameHeader {
  std::size_t length = 0;  // of the header itself, magic included
  std::optional<std::uint64_t> content;
  std::uint32_t dictionary = 0;   // 0: none that is named
  bool checksum_follows = false;  // four bytes behind the last block
};

/// `bytes` begin with the magic of a frame; zeroes follow the end of the file. CorruptImage for reserved bits.
Result<FrameHeader> parse_frame_header(std::span<const std::byte> bytes);

struct BlockHeader {
  enum class Kind : unsigned char { Raw, Rle, Compressed, Reserved };
  Kind kind = Kind::Raw;
  bool last = false;
  std::uint32_t size = 0;

  /// Bytes that follow the header in the file.
  [[nodiscard]] std::uint32_t stored() const { return kind == Kind::Rle ? 1 : size; }
};
[[nodiscard]] BlockHeader parse_block_header(std::span<const std::byte> bytes);

}  // namespace flatimg::seekable_zstd
