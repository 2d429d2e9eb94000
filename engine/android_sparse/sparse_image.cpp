#include "android_sparse/sparse_image.h"

#include <cassert>

#include "android_sparse/header.h"

namespace flatimg::android_sparse {

namespace {

constexpr ByteCount kUnit{4096};  // nobody holds the map lock; it only says how far one look for holes goes

Result<void> must_be_alike(const Header& first, const Header& other, const HostFile& first_file,
                           const HostFile& other_file) {
  if (first.block_bytes == other.block_bytes && first.blocks == other.blocks) return {};
  return fail(ErrorKind::InvalidImage,
              "{}: {} blocks of {} bytes, but {} has {} of {}: they are no pieces of one image", other_file.name(),
              other.blocks, other.block_bytes, first_file.name(), first.blocks, first.block_bytes);
}

}  // namespace

SparseImage::SparseImage(std::vector<std::unique_ptr<HostFile>> pieces, ByteCount block, Layout layout,
                         std::string read_only_reason)
    : pieces_(std::move(pieces)),
      block_(block),
      layout_(std::move(layout)),
      data_(ByteCount(layout_.data_blocks() * block_.value())) {
  traits_.format = "sparse";
  traits_.unit = kUnit;
  traits_.fixed_map = true;
  traits_.read_only_reason = std::move(read_only_reason);
}

Result<std::unique_ptr<SparseImage>> SparseImage::open(std::vector<std::unique_ptr<HostFile>> pieces,
                                                       std::string read_only_reason) {
  assert(!pieces.empty() && pieces.size() <= Layout::kMostPieces);
  TRY(const Header first, read_header(*pieces.front()));
  TRY(Layout layout, Layout::of(*pieces.front(), first, 0));
  for (unsigned number = 1; number < pieces.size(); ++number) {
    TRY(const Header header, read_header(*pieces[number]));
    CHECK(must_be_alike(first, header, *pieces.front(), *pieces[number]));
    TRY(const Layout piece, Layout::of(*pieces[number], header, number));
    TRY(layout, layout.with(piece, first.block_bytes));
  }
  return std::unique_ptr<SparseImage>(
      new SparseImage(std::move(pieces), first.block(), std::move(layout), std::move(read_only_reason)));
}

Result<Extent> SparseImage::map(GuestRange want, Look /*look*/) {
  const Run run = layout_.at_block(static_cast<std::uint32_t>(want.begin / block_));
  const GuestRange whole{GuestOffset(0) + block_ * run.first_block, block_ * run.blocks};
  const GuestRange where = intersection(want, whole);
  switch (run.source.kind) {
    case Source::Kind::Nothing:
      return Extent{where, Zeroes{}};
    case Source::Kind::Fill:
      if (run.source.word == 0) return Extent{where, Zeroes{.recorded = true}};
      return Extent{where, Repeated::word_from(run.source.word, where.begin - whole.begin)};
    case Source::Kind::Stored:
      break;
  }
  return Extent{where, InFile{pieces_[run.source.piece].get(), run.source.at + (where.begin - whole.begin)}};
}

}  // namespace flatimg::android_sparse
