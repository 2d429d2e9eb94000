#include "seekable_zstd/zstd_writer.h"

#include <algorithm>
#include <bit>

#include "base/endian.h"
#include "base/limits.h"
#include "seekable_zstd/frame_scan.h"
#include "seekable_zstd/seek_table.h"

namespace flatimg::seekable_zstd {

namespace {

constexpr ByteCount kLeastFrame = 4_KiB;
constexpr ByteCount kUsualFrame = 128_KiB;
constexpr int kMostLevel = 22;

std::uint64_t frames_of(ByteCount disk, ByteCount frame) { return align_up(disk, frame) / frame; }

ByteCount usual_frame(ByteCount disk) {
  ByteCount frame = kUsualFrame;
  while (frame < kLargestFrame && frames_of(disk, frame) > limits::kZstdFrames) frame += frame;
  return frame;
}

}  // namespace

Result<void> ZstdWriter::check(ByteCount disk, const WriteOptions& options) {
  const ByteCount frame = options.frame.value_or(usual_frame(disk));
  if (!std::has_single_bit(frame.value()) || frame < kLeastFrame || frame > kLargestFrame) {
    return fail(ErrorKind::BadUsage, "Parameter 'frame_size' expects a power of two between 4k and 8M");
  }
  if (options.form.level < 1 || options.form.level > kMostLevel) {
    return fail(ErrorKind::BadUsage, "Parameter 'compression_level' expects a number from 1 to {}", kMostLevel);
  }
  if (frames_of(disk, frame) > limits::kZstdFrames) {
    return fail(ErrorKind::BadUsage, "this disk would have {} frames, and {} are the most: use a larger frame_size",
                frames_of(disk, frame), limits::kZstdFrames);
  }
  return {};
}

Result<std::unique_ptr<ZstdWriter>> ZstdWriter::begin(HostFile& file, ByteCount disk, const WriteOptions& options) {
  const ByteCount frame = options.frame.value_or(usual_frame(disk));
  std::unique_ptr<ZstdWriter> writer(new ZstdWriter(file, frame, options.form));
  TRY(writer->zeroes_, writer->encode_frame(std::vector<std::byte>(frame.value())));
  return writer;
}

Result<ZstdWriter::EncodedFrame> ZstdWriter::encode_frame(std::span<const std::byte> bytes) const {
  EncodedFrame frame;
  TRY(frame.bytes, zstd_frame(bytes, form_));
  frame.content = static_cast<std::uint32_t>(bytes.size());
  return frame;
}

Result<ImageWriter::Append> ZstdWriter::encode(GuestRange /*where*/, std::span<const std::byte> bytes) {
  std::vector<EncodedFrame> frames;
  while (!bytes.empty()) {
    const auto part = bytes.first(std::min<std::size_t>(frame_.value(), bytes.size()));
    TRY(auto frame, encode_frame(part));
    frames.push_back(std::move(frame));
    bytes = bytes.subspan(part.size());
  }
  return [this, frames = std::move(frames)]() -> Result<void> {
    for (const EncodedFrame& frame : frames) CHECK(append(frame));
    return {};
  };
}

// Whole frames of zeroes are all the same; behind them may be a shorter one, at the end of the disk.
Result<ImageWriter::Append> ZstdWriter::encode_hole(GuestRange where) {
  EncodedFrame last;
  const std::size_t rest = (where.length % frame_).value();
  if (rest != 0) {
    TRY(last, encode_frame(std::vector<std::byte>(rest)));
  }
  return [this, whole = where.length / frame_, last = std::move(last)]() -> Result<void> {
    for (std::uint64_t n = 0; n < whole; ++n) CHECK(append(zeroes_));
    return last.content == 0 ? Result<void>() : append(last);
  };
}

Result<void> ZstdWriter::append(const EncodedFrame& frame) {
  table_.push_back({static_cast<std::uint32_t>(frame.bytes.size()), frame.content});
  return file_.append(frame.bytes);
}

Result<void> ZstdWriter::finish() {
  const std::size_t entries = table_.size() * kPlainEntry;
  std::vector<std::byte> bytes(kSkippableHeader + entries + kSeekTableFooter);
  store_le(std::span(bytes), 0, kSeekTableMagic);
  store_le(std::span(bytes), 4, static_cast<std::uint32_t>(entries + kSeekTableFooter));
  std::size_t at = kSkippableHeader;
  for (const Entry& entry : table_) {
    store_le(std::span(bytes), at, entry.stored);
    store_le(std::span(bytes), at + 4, entry.content);
    at += kPlainEntry;
  }
  store_le(std::span(bytes), at, static_cast<std::uint32_t>(table_.size()));
  store_le(std::span(bytes), at + 5, kSeekableMagic);
  CHECK(file_.append(bytes));
  return file_.finish();
}

}  // namespace flatimg::seekable_zstd
