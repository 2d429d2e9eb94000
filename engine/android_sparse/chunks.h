// The chunks of a sparse image, one behind the other.
//
// Invariants:
//   1. A chunk that next() has returned lies within the file, and its blocks within the disk; stored bytes are exactly
//      as many as its blocks hold.
//   2. When next() has returned nothing, the chunks cover the disk exactly.
//   3. No memory but one small window, whatever the header claims.
#pragma once

#include <optional>

#include "android_sparse/header.h"
#include "host/record_reader.h"

namespace flatimg::android_sparse {

enum class ChunkKind : std::uint16_t {
  Raw = 0xCAC1,       // the bytes of its blocks
  Fill = 0xCAC2,      // one word, repeated
  DontCare = 0xCAC3,  // nothing; reads as zeroes
  Crc32 = 0xCAC4,     // the checksum of everything in front of it; no blocks
};

struct Chunk {
  ChunkKind kind = ChunkKind::DontCare;
  std::uint32_t number = 0;
  std::uint32_t first_block = 0;
  std::uint32_t blocks = 0;  // 0 for Crc32, whatever the file says
  HostOffset body;
  std::uint32_t word = 0;  // Fill: the word, in memory order. Crc32: the checksum
};

/// What no reader minds and no writer should do. `info` names what it meets.
struct Oddities {
  std::uint32_t reserved_fields = 0;  // chunks whose reserved field is not 0
  std::uint32_t empty_chunks = 0;     // without blocks
  std::uint32_t crc_blocks = 0;       // CRC32 chunks that claim blocks; ignored
  ByteCount trailing;                 // behind the last chunk; ignored
};

class ChunkReader {
 public:
  /// `file` and `header` outlive it.
  static Result<ChunkReader> of(HostFile& file, const Header& header);

  /// The next chunk, or nothing behind the last. InvalidImage and Unsupported name the chunk.
  Result<std::optional<Chunk>> next();

  /// Complete behind the last chunk.
  [[nodiscard]] const Oddities& oddities() const { return oddities_; }

 private:
  ChunkReader(HostFile& file, const Header& header, ByteCount file_size)
      : file_(&file), header_(&header), file_size_(file_size.value()), at_(header.header_length), reader_(file) {}

  Result<Chunk> read_chunk();
  Result<void> judge(const Chunk& chunk, std::uint64_t body_bytes) const;
  Result<void> judge_end() const;
  void note_oddities(std::uint16_t reserved, std::uint32_t claimed_blocks, ChunkKind kind);
  [[nodiscard]] Failure invalid(const Chunk& chunk, std::string_view why) const;

  HostFile* file_;
  const Header* header_;
  std::uint64_t file_size_;
  std::uint64_t at_;  // of the next chunk
  std::uint32_t read_ = 0;
  std::uint32_t blocks_ = 0;  // covered so far
  Oddities oddities_;
  RecordReader reader_;
};

}  // namespace flatimg::android_sparse
