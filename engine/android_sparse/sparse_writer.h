// Writes a sparse image: stored blocks, blocks of one word, and what is not there, each kind as few chunks as may be.
//
// Invariants:
//   1. A chunk of stored blocks is at most 64 MiB long, as libsparse has it; no chunk has more blocks than its readers
//      can count in an int.
//   2. The header is written last: until then the file is not an image.
#pragma once

#include <memory>

#include "android_sparse/chunks.h"
#include "codec/crc32.h"
#include "host/appended_file.h"
#include "image/image_writer.h"

namespace flatimg::android_sparse {

struct WriteOptions {
  ByteCount block{4096};  // a power of two from 1 KiB to 1 MiB
  bool checksum = false;  // in the header, and as the last chunk
};

class SparseWriter final : public ImageWriter {
 public:
  /// BadUsage for options that make no sense, and for a disk without blocks or with more than the format counts.
  static Result<void> check(ByteCount disk, const WriteOptions& options);
  /// `file` is empty and outlives it. check() has passed.
  static Result<std::unique_ptr<SparseWriter>> begin(HostFile& file, ByteCount disk, const WriteOptions& options);

  [[nodiscard]] ByteCount unit() const override { return options_.block; }
  Result<Append> encode(GuestRange where, std::span<const std::byte> bytes) override;
  Result<Append> encode_hole(GuestRange where) override;
  Result<void> finish() override;

 private:
  /// Blocks that are stored in the same way.
  struct Run {
    ChunkKind kind = ChunkKind::DontCare;
    std::uint32_t word = 0;  // Fill
    std::uint32_t blocks = 0;
    std::vector<std::byte> bytes{};  // Raw
    Crc32 checksum{};                // of these
  };
  SparseWriter(HostFile& file, std::uint32_t blocks, WriteOptions options)
      : file_(file), blocks_(blocks), options_(options) {}

  [[nodiscard]] Run run_at(std::span<const std::byte> bytes) const;
  Result<void> append(const Run& run);
  Result<void> begin_chunk(const Run& run);
  Result<void> end_chunk();
  [[nodiscard]] bool continues(const Run& run) const;
  void count(const Run& run);
  [[nodiscard]] ByteCount bytes_of(std::uint32_t blocks) const { return options_.block * blocks; }

  AppendedFile file_;
  const std::uint32_t blocks_;  // of the disk
  const WriteOptions options_;
  std::uint32_t chunks_ = 0;
  HostOffset chunk_at_;  // of the header of the chunk that is being written
  Chunk chunk_;          // without blocks: none is
  Crc32 checksum_;
};

}  // namespace flatimg::android_sparse
