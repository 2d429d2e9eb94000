// Where each block of the disk is: runs of blocks, in order and without gaps, found by binary search.
//
// Invariants:
//   1. Runs are not empty; the first begins at block 0, the last ends with the disk. Neighbours that continue one
//      another (nothing beside nothing, the same word) are one run.
//   2. A run takes 12 bytes of memory: the block in which it begins, and one word for what it is. It ends where the
//      next begins.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace flatimg {
class HostFile;
}

namespace flatimg::android_sparse {

struct Header;

/// What a run shows.
struct Source {
  enum class Kind : unsigned char {
    Nothing,  // no piece says anything: zeroes
    Fill,     // `word` again and again
    Stored,   // in the file of `piece` from `at` on
  };
  Kind kind = Kind::Nothing;
  unsigned piece = 0;  // < kMostPieces
  std::uint32_t word = 0;
  HostOffset at;

  friend bool operator==(const Source&, const Source&) = default;
};

struct Run {
  std::uint32_t first_block = 0;
  std::uint32_t blocks = 0;
  Source source;

  [[nodiscard]] std::uint64_t end() const { return std::uint64_t{first_block} + blocks; }
};

class Layout {
 public:
  static constexpr unsigned kMostPieces = 64;
  static constexpr std::uint64_t kMostBytesOfPiece = std::uint64_t{1} << 56;

  /// The runs of one piece. Walks its chunks; InvalidImage, Unsupported and Limit as they say.
  static Result<Layout> of(HostFile& file, const Header& header, unsigned piece);

  /// `above` laid over this one, which has as many blocks of `block_bytes` bytes: where it has nothing, this one shows.
  [[nodiscard]] Result<Layout> with(const Layout& above, std::uint32_t block_bytes) const;

  /// The run that covers a block of the disk.
  [[nodiscard]] Run at_block(std::uint32_t block) const { return run(index_of(block)); }

  [[nodiscard]] std::size_t runs() const { return begins_.size(); }
  [[nodiscard]] Run run(std::size_t index) const;
  [[nodiscard]] std::uint32_t blocks() const { return blocks_; }
  /// Blocks that are stored, or filled with anything but zeroes.
  [[nodiscard]] std::uint64_t data_blocks() const;

 private:
  Result<void> append(const Source& source, std::uint32_t blocks);
  Result<void> append_part(const Run& run, std::uint64_t begin, std::uint64_t end, std::uint32_t block_bytes);
  [[nodiscard]] std::size_t index_of(std::uint32_t block) const;

  std::vector<std::uint32_t> begins_;
  std::vector<std::uint64_t> sources_;  // kind, piece, and word or offset
  std::uint32_t blocks_ = 0;
};

}  // namespace flatimg::android_sparse
