#include "android_sparse/chunks.h"

#include "base/endian.h"

namespace flatimg::android_sparse {

namespace {

constexpr std::uint16_t kVendorLz4 = 0xCAC5;

std::string_view name_of(ChunkKind kind) {
  switch (kind) {
    case ChunkKind::Raw:
      return "raw data";
    case ChunkKind::Fill:
      return "fill";
    case ChunkKind::DontCare:
      return "don't care";
    case ChunkKind::Crc32:
      return "CRC32";
  }
  return "unknown";
}

}  // namespace

Result<ChunkReader> ChunkReader::of(HostFile& file, const Header& header) {
  TRY(const ByteCount size, file.size());
  return ChunkReader(file, header, size);
}

Failure ChunkReader::invalid(const Chunk& chunk, std::string_view why) const {
  return fail(ErrorKind::InvalidImage, "{}: chunk {} ({}) {}", file_->name(), chunk.number, name_of(chunk.kind), why);
}

Result<std::optional<Chunk>> ChunkReader::next() {
  if (read_ == header_->chunks) {
    CHECK(judge_end());
    oddities_.trailing = ByteCount(file_size_ - std::min(at_, file_size_));
    return std::optional<Chunk>();
  }
  TRY(const Chunk chunk, read_chunk());
  ++read_;
  blocks_ += chunk.blocks;
  return std::optional(chunk);
}

Result<Chunk> ChunkReader::read_chunk() {
  if (at_ + header_->chunk_header_length > file_size_) {
    return fail(ErrorKind::InvalidImage, "{}: the file ends at chunk {} of {}: it is incomplete", file_->name(), read_,
                header_->chunks);
  }
  TRY(const auto head, reader_.read({HostOffset(at_), ByteCount(kChunkHeaderLength)}));
  const auto kind = load_le<std::uint16_t>(head, 0);
  const auto reserved = load_le<std::uint16_t>(head, 2);
  const auto blocks = load_le<std::uint32_t>(head, 4);
  const auto total_bytes = load_le<std::uint32_t>(head, 8);
  Chunk chunk{static_cast<ChunkKind>(kind), read_, blocks_, blocks, HostOffset(at_ + header_->chunk_header_length)};
  if (kind == kVendorLz4) {
    return fail(ErrorKind::Unsupported, "{}: chunk {} is compressed (0xCAC5), which only one vendor's tools can read",
                file_->name(), read_);
  }
  if (kind < static_cast<std::uint16_t>(ChunkKind::Raw) || kind > static_cast<std::uint16_t>(ChunkKind::Crc32)) {
    return fail(ErrorKind::InvalidImage, "{}: chunk {} is of the unknown kind {:#06x}", file_->name(), read_, kind);
  }
  if (total_bytes < header_->chunk_header_length) return invalid(chunk, "is shorter than its own header");
  if (chunk.kind == ChunkKind::Crc32) chunk.blocks = 0;
  CHECK(judge(chunk, total_bytes - header_->chunk_header_length));
  if (chunk.kind == ChunkKind::Fill || chunk.kind == ChunkKind::Crc32) {
    TRY(const auto word, reader_.read({chunk.body, ByteCount(sizeof chunk.word)}));
    chunk.word = load_le<std::uint32_t>(word, 0);
  }
  note_oddities(reserved, blocks, chunk.kind);
  at_ += total_bytes;
  return chunk;
}

Result<void> ChunkReader::judge(const Chunk& chunk, std::uint64_t body_bytes) const {
  const std::uint64_t due = chunk.kind == ChunkKind::Raw        ? (header_->block() * chunk.blocks).value()
                            : chunk.kind == ChunkKind::DontCare ? 0
                                                                : sizeof chunk.word;
  if (body_bytes != due) {
    return invalid(chunk, fmt::format("of {} blocks holds {} bytes instead of {}", chunk.blocks, body_bytes, due));
  }
  if (chunk.blocks > header_->blocks - blocks_) {
    return invalid(chunk, fmt::format("leaves the disk, which has {} blocks", header_->blocks));
  }
  if (chunk.body.value() + body_bytes > file_size_) {
    return invalid(chunk, fmt::format("ends at byte {}, but the file has only {}: it is incomplete",
                                      chunk.body.value() + body_bytes, file_size_));
  }
  return {};
}

Result<void> ChunkReader::judge_end() const {
  if (blocks_ == header_->blocks) return {};
  return fail(ErrorKind::InvalidImage, "{}: its {} chunks cover {} blocks, but the disk has {}", file_->name(),
              header_->chunks, blocks_, header_->blocks);
}

void ChunkReader::note_oddities(std::uint16_t reserved, std::uint32_t claimed_blocks, ChunkKind kind) {
  if (reserved != 0) ++oddities_.reserved_fields;
  if (kind == ChunkKind::Crc32 && claimed_blocks != 0) ++oddities_.crc_blocks;
  if (kind != ChunkKind::Crc32 && claimed_blocks == 0) ++oddities_.empty_chunks;
}

}  // namespace flatimg::android_sparse
