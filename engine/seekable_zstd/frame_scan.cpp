#include "seekable_zstd/frame_scan.h"

#include "base/endian.h"

namespace flatimg::seekable_zstd {

namespace {

constexpr std::uint64_t kFrameChecksum = 4;

// What an honest encoder may add to data that does not compress.
std::uint64_t most_stored(ByteCount content) { return content.value() + content.value() / 256 + (1u << 16); }

}  // namespace

Failure frame_too_large(const HostFile& file, std::string_view what, ByteCount most) {
  return fail(ErrorKind::Limit,
              "{}: {}, and at most {} are decoded at once: {}use unpack=on, or make a file with smaller frames: "
              "flatimg convert -O zstd {} NEW.zst",
              file.name(), what, most.value(), most < kLargestFrame ? "raise cache-size, " : "", file.name());
}

Result<FrameScan> FrameScan::of(HostFile& file, ByteCount most) {
  TRY(const ByteCount size, file.size());
  return FrameScan(file, most, size);
}

Failure FrameScan::cut_off() const {
  return fail(ErrorKind::InvalidImage, "{}: the file ends within its frame {}: it is incomplete", file_->name(),
              number_);
}

Result<std::optional<FoundFrame>> FrameScan::next() {
  for (;; ++number_) {
    if (at_ == file_size_) return std::optional<FoundFrame>();
    TRY(const auto head, reader_.read({HostOffset(at_), ByteCount(kLongestFrameHeader)}));
    const auto magic = load_le<std::uint32_t>(head, 0);
    if (magic == kFrameMagic) break;
    if (!is_skippable(magic)) {
      return fail(ErrorKind::CorruptImage, "{}: at byte {} is no zstd frame", file_->name(), at_);
    }
    const std::uint64_t length = kSkippableHeader + load_le<std::uint32_t>(head, 4);
    if (length > file_size_ - at_) return cut_off();
    at_ += length;
  }
  TRY(const auto head, reader_.read({HostOffset(at_), ByteCount(kLongestFrameHeader)}));
  auto header = parse_frame_header(head);
  if (!header) return Failure(std::move(header.error()).within(fmt::format("{}: byte {}", file_->name(), at_)));
  TRY(const FoundFrame frame, walk_frame(*header));
  at_ = frame.stored.end().value();
  ++number_;
  return std::optional(frame);
}

Result<FoundFrame> FrameScan::walk_frame(const FrameHeader& header) {
  if (header.dictionary != 0) {
    return fail(ErrorKind::Unsupported, "{}: frame {} needs the dictionary {}, which is not in the file", file_->name(),
                number_, header.dictionary);
  }
  if (header.content) CHECK(must_hold_little(*header.content));
  TRY(const Blocks blocks, walk_blocks(at_ + header.length));
  const std::uint64_t end = blocks.end + (header.checksum_follows ? kFrameChecksum : 0);
  if (end > file_size_) return cut_off();
  FoundFrame frame{HostRange::between(HostOffset(at_), HostOffset(end)), std::nullopt, most_};
  if (header.content || blocks.compressed == 0) {
    frame.content = ByteCount(header.content.value_or(blocks.plain));
    frame.at_most = *frame.content;
  } else if (blocks.compressed < most_.value() / kMostBlockContent) {
    frame.at_most = std::min(most_, ByteCount(blocks.plain + blocks.compressed * kMostBlockContent));
  }
  return frame;
}

// Ends: every block takes at least its header from the file.
Result<FrameScan::Blocks> FrameScan::walk_blocks(std::uint64_t begin) {
  Blocks blocks{begin};
  for (bool last = false; !last;) {
    if (blocks.end + kBlockHeader > file_size_) return cut_off();
    TRY(const auto head, reader_.read({HostOffset(blocks.end), ByteCount(kBlockHeader)}));
    const BlockHeader block = parse_block_header(head);
    const bool too_long = block.kind != BlockHeader::Kind::Rle && block.size > kMostBlockContent;
    if (block.kind == BlockHeader::Kind::Reserved || too_long) {
      return fail(ErrorKind::CorruptImage, "{}: frame {} is damaged: at byte {} is no block", file_->name(), number_,
                  blocks.end);
    }
    if (block.kind == BlockHeader::Kind::Compressed) {
      ++blocks.compressed;
    } else {
      blocks.plain += block.size;
    }
    blocks.end += kBlockHeader + block.stored();
    last = block.last;
    CHECK(must_hold_little(blocks.plain));
    CHECK(must_be_small(blocks.end - at_));
  }
  return blocks;
}

Result<void> FrameScan::must_hold_little(std::uint64_t content) const {
  if (content <= most_.value()) return {};
  return frame_too_large(*file_, fmt::format("frame {} holds {} bytes or more", number_, content), most_);
}

Result<void> FrameScan::must_be_small(std::uint64_t stored) const {
  if (stored <= most_stored(most_)) return {};
  return frame_too_large(*file_, fmt::format("frame {} takes more than {} bytes", number_, stored), most_);
}

}  // namespace flatimg::seekable_zstd
