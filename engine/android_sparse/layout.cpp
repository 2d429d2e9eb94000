#include "android_sparse/layout.h"

#include <algorithm>
#include <cassert>

#include "android_sparse/chunks.h"
#include "base/limits.h"

namespace flatimg::android_sparse {

namespace {

// A source as one word: two bits of kind, six of piece, and 56 of offset or fill word.
constexpr unsigned kKindShift = 62;
constexpr unsigned kPieceShift = 56;
constexpr std::uint64_t kPieceMask = Layout::kMostPieces - 1;
constexpr std::uint64_t kRestMask = Layout::kMostBytesOfPiece - 1;

std::uint64_t packed(const Source& source) {
  const std::uint64_t rest = source.kind == Source::Kind::Stored ? source.at.value() : source.word;
  assert(source.piece <= kPieceMask && rest <= kRestMask);
  return std::uint64_t{static_cast<unsigned char>(source.kind)} << kKindShift |
         std::uint64_t{source.piece} << kPieceShift | rest;
}

Source unpacked(std::uint64_t word) {
  Source source;
  source.kind = static_cast<Source::Kind>(word >> kKindShift);
  source.piece = static_cast<unsigned>(word >> kPieceShift & kPieceMask);
  if (source.kind == Source::Kind::Stored) source.at = HostOffset(word & kRestMask);
  if (source.kind == Source::Kind::Fill) source.word = static_cast<std::uint32_t>(word & kRestMask);
  return source;
}

Source source_of(const Chunk& chunk, unsigned piece) {
  if (chunk.kind == ChunkKind::Raw) return {Source::Kind::Stored, piece, 0, chunk.body};
  if (chunk.kind == ChunkKind::Fill) return {Source::Kind::Fill, 0, chunk.word, {}};
  return {};
}

// How many runs are made room for in advance, whatever a header claims.
constexpr std::uint64_t kReserved = 1u << 20;

}  // namespace

Result<void> Layout::append(const Source& source, std::uint32_t blocks) {
  if (blocks == 0) return {};
  const std::uint64_t word = packed(source);
  const bool continues = !sources_.empty() && sources_.back() == word && source.kind != Source::Kind::Stored;
  if (!continues) {
    if (begins_.size() == limits::kSparseRuns) {
      return fail(ErrorKind::Limit, "more than {} separate runs of data: convert the image with simg2img",
                  limits::kSparseRuns);
    }
    begins_.push_back(blocks_);
    sources_.push_back(word);
  }
  blocks_ += blocks;
  return {};
}

Result<Layout> Layout::of(HostFile& file, const Header& header, unsigned piece) {
  TRY(const ByteCount size, file.size());
  if (size.value() > kMostBytesOfPiece) return fail(ErrorKind::Limit, "{}: the file is too large", file.name());
  TRY(ChunkReader reader, ChunkReader::of(file, header));
  Layout layout;
  const auto room = std::min({std::uint64_t{header.chunks}, size.value() / header.chunk_header_length, kReserved});
  layout.begins_.reserve(room);
  layout.sources_.reserve(room);
  for (;;) {
    TRY(const std::optional<Chunk> chunk, reader.next());
    if (!chunk) return layout;
    if (auto added = layout.append(source_of(*chunk, piece), chunk->blocks); !added) {
      return Failure(std::move(added.error()).within(file.name()));
    }
  }
}

Result<void> Layout::append_part(const Run& run, std::uint64_t begin, std::uint64_t end, std::uint32_t block_bytes) {
  Source source = run.source;
  if (source.kind == Source::Kind::Stored) source.at += ByteCount((begin - run.first_block) * block_bytes);
  return append(source, static_cast<std::uint32_t>(end - begin));
}

Result<Layout> Layout::with(const Layout& above, std::uint32_t block_bytes) const {
  assert(above.blocks_ == blocks_);
  Layout merged;
  std::size_t below = 0;
  for (std::size_t upper = 0; upper < above.runs(); ++upper) {
    const Run cover = above.run(upper);
    for (std::uint64_t at = cover.first_block; at < cover.end();) {
      while (run(below).end() <= at) ++below;
      const bool shows_through = cover.source.kind == Source::Kind::Nothing;
      const std::uint64_t end = shows_through ? std::min(cover.end(), run(below).end()) : cover.end();
      CHECK(merged.append_part(shows_through ? run(below) : cover, at, end, block_bytes));
      at = end;
    }
  }
  return merged;
}

Run Layout::run(std::size_t index) const {
  const std::uint32_t end = index + 1 < begins_.size() ? begins_[index + 1] : blocks_;
  return {begins_[index], end - begins_[index], unpacked(sources_[index])};
}

std::size_t Layout::index_of(std::uint32_t block) const {
  assert(block < blocks_);
  return static_cast<std::size_t>(std::ranges::upper_bound(begins_, block) - begins_.begin()) - 1;
}

std::uint64_t Layout::data_blocks() const {
  std::uint64_t count = 0;
  for (std::size_t index = 0; index < runs(); ++index) {
    const Run here = run(index);
    const bool zero =
        here.source.kind == Source::Kind::Nothing || (here.source.kind == Source::Kind::Fill && here.source.word == 0);
    if (!zero) count += here.blocks;
  }
  return count;
}

}  // namespace flatimg::android_sparse
