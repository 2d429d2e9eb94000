#include "android_sparse/check.h"

#include "android_sparse/chunks.h"
#include "base/aligned_buffer.h"
#include "codec/crc32.h"

namespace flatimg::android_sparse {

namespace {

constexpr std::size_t kPiece = 1u << 20;

// Walks all chunks; what it counts tells whether their data has to be read.
class Census {
 public:
  explicit Census(const Header& header) { report_.total_clusters = header.blocks; }

  void add(const Chunk& chunk) {
    if (chunk.kind == ChunkKind::Crc32) ++checksums_;
    if (chunk.kind == ChunkKind::Raw || (chunk.kind == ChunkKind::Fill && chunk.word != 0)) {
      report_.allocated_clusters += chunk.blocks;
    }
  }
  [[nodiscard]] std::uint64_t checksums() const { return checksums_; }
  [[nodiscard]] const CheckReport& report() const { return report_; }

 private:
  CheckReport report_;
  std::uint64_t checksums_ = 0;
};

// The checksum so far, by both ways of counting.
class BothChecksums {
 public:
  BothChecksums(HostFile& file, const Header& header) : file_(file), block_(header.block()) {}

  Result<void> add(const Chunk& chunk) {
    const ByteCount length = block_ * chunk.blocks;
    switch (chunk.kind) {
      case ChunkKind::Raw:
        return add_stored({chunk.body, length});
      case ChunkKind::Fill:
        by_format_.add_repeated(chunk.word, length);
        by_libsparse_.add_repeated(chunk.word, std::min(length, block_));
        return {};
      case ChunkKind::DontCare:
        by_format_.add_repeated(0, length);
        return {};
      case ChunkKind::Crc32:
        return {};
    }
    return {};
  }
  [[nodiscard]] bool agree_with(std::uint32_t checksum) const {
    return by_format_.value() == checksum || by_libsparse_.value() == checksum;
  }
  [[nodiscard]] std::uint32_t by_format() const { return by_format_.value(); }

 private:
  Result<void> add_stored(HostRange range) {
    while (!range.empty()) {
      const HostRange now = range.first(ByteCount(kPiece));
      const auto bytes = buffer_.at_least(kPiece).first(now.length.value());
      CHECK(file_.read(now.begin, bytes));
      by_format_.add(bytes);
      by_libsparse_.add(bytes);
      range = range.without_first(now.length);
    }
    return {};
  }

  HostFile& file_;
  ByteCount block_;
  AlignedBuffer buffer_;
  Crc32 by_format_;
  Crc32 by_libsparse_;
};

// `checksums` CRC32 chunks have to be met; behind the last of them nothing but the header's asks for data.
Result<CheckReport> with_checksums(HostFile& file, const Header& header, CheckReport report, std::uint64_t checksums,
                                   const Progress& progress) {
  TRY(ChunkReader reader, ChunkReader::of(file, header));
  BothChecksums found(file, header);
  const auto compare = [&](std::uint32_t recorded, const std::string& what) {
    if (found.agree_with(recorded)) return;
    report.corruption("{} is {:#010x}, but that of the data is {:#010x}", what, recorded, found.by_format());
  };
  while (checksums != 0 || header.checksum != 0) {
    TRY(const std::optional<Chunk> chunk, reader.next());
    if (!chunk) break;
    CHECK(found.add(*chunk));
    tell(progress, std::uint64_t{chunk->first_block} + chunk->blocks, header.blocks);
    if (chunk->kind != ChunkKind::Crc32) continue;
    compare(chunk->word,
            fmt::format("the checksum in chunk {}, of the first {} blocks,", chunk->number, chunk->first_block));
    --checksums;
  }
  if (header.checksum != 0) compare(header.checksum, "the checksum of the whole disk");
  return report;
}

}  // namespace

Result<CheckReport> check(HostFile& file, const Header& header, const Progress& progress) {
  TRY(ChunkReader reader, ChunkReader::of(file, header));
  Census census(header);
  for (;;) {
    TRY(const std::optional<Chunk> chunk, reader.next());
    if (!chunk) break;
    census.add(*chunk);
  }
  CheckReport report = census.report();
  TRY(const ByteCount size, file.size());
  report.image_end = size - reader.oddities().trailing;
  return with_checksums(file, header, std::move(report), census.checksums(), progress);
}

}  // namespace flatimg::android_sparse
