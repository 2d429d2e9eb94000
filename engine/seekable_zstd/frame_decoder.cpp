#include "seekable_zstd/frame_decoder.h"

#include <array>

#include "base/endian.h"
#include "codec/xxh64.h"
#include "codec/zstd.h"
#include "seekable_zstd/frame_header.h"

namespace flatimg::seekable_zstd {

namespace {

Failure damaged(const HostFile& file, const Frame& frame, std::string_view why) {
  return fail(ErrorKind::CorruptImage, "{}: the frame at byte {}: {}", file.name(), frame.stored.begin.value(), why);
}

// What decoding could only call damage.
Result<void> judge_header(HostFile& file, const Frame& frame, std::span<const std::byte> stored) {
  std::array<std::byte, kLongestFrameHeader> head{};
  std::ranges::copy(stored.first(std::min(stored.size(), head.size())), head.begin());
  const auto magic = load_le<std::uint32_t>(std::span<const std::byte>(head), 0);
  if (magic != kFrameMagic) return damaged(file, frame, "is no zstd frame, but the seek table says so");
  TRY(const FrameHeader header, parse_frame_header(head));
  if (header.dictionary == 0) return {};
  return fail(ErrorKind::Unsupported, "{}: the frame at byte {} needs the dictionary {}, which is not in the file",
              file.name(), frame.stored.begin.value(), header.dictionary);
}

}  // namespace

Result<std::shared_ptr<const AlignedBytes>> decode_frame(HostFile& file, const Frame& frame, BlockPool& blocks) {
  const auto read = blocks.block(frame.stored.length.value());
  const auto stored = read->bytes();
  CHECK(file.read(frame.stored.begin, stored));
  CHECK(judge_header(file, frame, stored));
  auto content = blocks.block(frame.content.value());
  const auto decoded = inflate_zstd_frame(stored, content->bytes());
  if (!decoded) return damaged(file, frame, decoded.error().text);
  if (*decoded != frame.content.value()) {
    return damaged(file, frame, fmt::format("holds {} bytes instead of {}", *decoded, frame.content.value()));
  }
  if (frame.checksum && xxh64_low(content->bytes()) != *frame.checksum) {
    return damaged(file, frame, "its contents are not those of which the seek table has the checksum");
  }
  return content;
}

}  // namespace flatimg::seekable_zstd
