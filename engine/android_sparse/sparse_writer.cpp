#include "android_sparse/sparse_writer.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "base/endian.h"

namespace flatimg::android_sparse {

namespace {

constexpr ByteCount kLeastBlock = 1_KiB;
constexpr ByteCount kMostBlock = 1_MiB;
constexpr ByteCount kLongestRawChunk = 64_MiB;
constexpr std::uint32_t kMostChunkBlocks = std::numeric_limits<std::int32_t>::max();
constexpr std::size_t kWord = sizeof(std::uint32_t);

std::uint64_t blocks_of(ByteCount disk, ByteCount block) { return (disk - 1_B) / block + 1; }

// The word that a block repeats.
std::optional<std::uint32_t> repeated_word(std::span<const std::byte> block) {
  if (std::memcmp(block.data(), block.data() + kWord, block.size() - kWord) != 0) return std::nullopt;
  return load_le<std::uint32_t>(block, 0);
}

std::array<std::byte, kChunkHeaderLength> chunk_header(ChunkKind kind, std::uint32_t blocks, std::uint64_t body) {
  std::array<std::byte, kChunkHeaderLength> header{};
  store_le(std::span(header), 0, static_cast<std::uint16_t>(kind));
  store_le(std::span(header), 4, blocks);
  store_le(std::span(header), 8, static_cast<std::uint32_t>(kChunkHeaderLength + body));
  return header;
}

std::array<std::byte, kWord> word_bytes(std::uint32_t word) {
  std::array<std::byte, kWord> bytes{};
  store_le(std::span(bytes), 0, word);
  return bytes;
}

}  // namespace

Result<void> SparseWriter::check(ByteCount disk, const WriteOptions& options) {
  const ByteCount block = options.block;
  if (!std::has_single_bit(block.value()) || block < kLeastBlock || block > kMostBlock) {
    return fail(ErrorKind::BadUsage, "Parameter 'block_size' expects a power of two between 1k and 1M");
  }
  if (disk.is_zero()) return fail(ErrorKind::BadUsage, "a disk without bytes cannot be a sparse image");
  if (blocks_of(disk, block) > std::numeric_limits<std::uint32_t>::max()) {
    return fail(ErrorKind::BadUsage,
                "a sparse image counts at most 4294967295 blocks, and this disk has {}: use -o block_size=1M",
                blocks_of(disk, block));
  }
  return {};
}

Result<std::unique_ptr<SparseWriter>> SparseWriter::begin(HostFile& file, ByteCount disk, const WriteOptions& options) {
  const auto blocks = static_cast<std::uint32_t>(blocks_of(disk, options.block));
  std::unique_ptr<SparseWriter> writer(new SparseWriter(file, blocks, options));
  CHECK(writer->file_.append(std::array<std::byte, kHeaderLength>{}));
  return writer;
}

// --- encoding -------------------------------------------------------------------------------------------------------

// The first blocks that can be stored in the same way.
SparseWriter::Run SparseWriter::run_at(std::span<const std::byte> bytes) const {
  const std::size_t block = options_.block.value();
  const auto word = repeated_word(bytes.first(block));
  Run run{word ? ChunkKind::Fill : ChunkKind::Raw, word.value_or(0), 1};
  while (run.blocks * block < bytes.size() && repeated_word(bytes.subspan(run.blocks * block, block)) == word) {
    ++run.blocks;
  }
  const auto mine = bytes.first(run.blocks * block);
  if (!word) run.bytes.assign(mine.begin(), mine.end());
  if (options_.checksum) run.checksum.add(mine);
  return run;
}

Result<ImageWriter::Append> SparseWriter::encode(GuestRange /*where*/, std::span<const std::byte> bytes) {
  thread_local std::vector<std::byte> padded;  // the last block may be cut off by the end of the disk
  if (bytes.size() % options_.block.value() != 0) {
    padded.assign(bytes.begin(), bytes.end());
    padded.resize(align_up(ByteCount(bytes.size()), options_.block).value());
    bytes = padded;
  }
  std::vector<Run> runs;
  while (!bytes.empty()) {
    runs.push_back(run_at(bytes));
    bytes = bytes.subspan(bytes_of(runs.back().blocks).value());
  }
  return [this, runs = std::move(runs)]() -> Result<void> {
    for (const Run& run : runs) CHECK(append(run));
    return {};
  };
}

Result<ImageWriter::Append> SparseWriter::encode_hole(GuestRange where) {
  Run run;
  run.blocks = static_cast<std::uint32_t>(align_up(where.length, options_.block) / options_.block);
  if (options_.checksum) run.checksum.add_repeated(0, bytes_of(run.blocks));
  return [this, run] { return append(run); };
}

// --- the file -------------------------------------------------------------------------------------------------------

bool SparseWriter::continues(const Run& run) const {
  if (chunk_.blocks == 0 || chunk_.kind != run.kind || chunk_.word != run.word) return false;
  const std::uint64_t blocks = std::uint64_t{chunk_.blocks} + run.blocks;
  if (run.kind == ChunkKind::Raw) return options_.block * blocks <= kLongestRawChunk;
  return blocks <= kMostChunkBlocks;
}

Result<void> SparseWriter::append(const Run& run) {
  if (!continues(run)) CHECK(begin_chunk(run));
  chunk_.blocks += run.blocks;
  if (options_.checksum) checksum_.add(run.checksum, bytes_of(run.blocks));
  return file_.append(run.bytes);
}

Result<void> SparseWriter::begin_chunk(const Run& run) {
  CHECK(end_chunk());
  chunk_at_ = file_.end();
  chunk_.kind = run.kind;
  chunk_.word = run.word;
  chunk_.blocks = 0;
  ++chunks_;
  CHECK(file_.append(std::array<std::byte, kChunkHeaderLength>{}));
  return run.kind == ChunkKind::Fill ? file_.append(word_bytes(run.word)) : Result<void>();
}

// Only now is it known how many blocks it has.
Result<void> SparseWriter::end_chunk() {
  if (chunk_.blocks == 0) return {};
  const std::uint64_t body = (file_.end() - chunk_at_).value() - kChunkHeaderLength;
  return file_.overwrite(chunk_at_, chunk_header(chunk_.kind, chunk_.blocks, body));
}

Result<void> SparseWriter::finish() {
  CHECK(end_chunk());
  if (options_.checksum) {
    ++chunks_;
    CHECK(file_.append(chunk_header(ChunkKind::Crc32, 0, kWord)));
    CHECK(file_.append(word_bytes(checksum_.value())));
  }
  std::array<std::byte, kHeaderLength> header{};
  const std::span bytes(header);
  store_le(bytes, 0, kMagic);
  store_le(bytes, 4, std::uint16_t{1});
  store_le(bytes, 8, kHeaderLength);
  store_le(bytes, 10, kChunkHeaderLength);
  store_le(bytes, 12, static_cast<std::uint32_t>(options_.block.value()));
  store_le(bytes, 16, blocks_);
  store_le(bytes, 20, chunks_);
  store_le(bytes, 24, options_.checksum ? checksum_.value() : 0);
  CHECK(file_.overwrite(HostOffset(0), header));
  return file_.finish();
}

}  // namespace flatimg::android_sparse
