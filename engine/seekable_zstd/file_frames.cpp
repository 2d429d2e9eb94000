#include "seekable_zstd/file_frames.h"

#include <algorithm>

#include "base/aligned_buffer.h"
#include "base/limits.h"
#include "base/side_by_side.h"
#include "codec/zstd.h"
#include "seekable_zstd/frame_scan.h"
#include "seekable_zstd/seek_table.h"

namespace flatimg::seekable_zstd {

namespace {

constexpr std::size_t kBatch = 4096;
constexpr ByteCount kMemory{64u << 20};  // for all threads that decode to learn a size

// Learns what frames hold that do not say so. Each batch is decoded side by side.
class Sizing {
 public:
  Sizing(HostFile& file, ByteCount most) : file_(file), most_(most) {}

  Result<void> add(const FoundFrame& frame) {
    batch_.push_back({frame, {}});
    if (!frame.content) ++unknown_;
    return unknown_ < kBatch && batch_.size() < kMostKnown ? Result<void>() : settle();
  }
  /// What has been added becomes part of the list.
  Result<void> settle() {
    if (unknown_ != 0) decode_side_by_side();
    for (Sized& sized : batch_) {
      CHECK(sized.outcome);
      const Frame frame{sized.found.stored, *sized.found.content, std::nullopt};
      if (auto added = frames_.append(frame); !added) return Failure(std::move(added.error()).within(file_.name()));
    }
    batch_.clear();
    unknown_ = 0;
    return {};
  }
  [[nodiscard]] Frames take() && { return std::move(frames_); }

 private:
  static constexpr std::size_t kMostKnown = 65536;

  struct Sized {
    FoundFrame found;
    Result<void> outcome;
  };
  // What a thread decodes with.
  struct Memory {
    AlignedBuffer stored;
    AlignedBuffer content;
  };

  void decode_side_by_side();
  Result<void> decode(FoundFrame& frame, Memory& memory) const;

  HostFile& file_;
  ByteCount most_;
  std::vector<Sized> batch_;
  std::size_t unknown_ = 0;
  std::vector<Memory> memories_;
  Frames frames_;
};

Result<void> Sizing::decode(FoundFrame& frame, Memory& memory) const {
  const auto stored = memory.stored.at_least(frame.stored.length.value()).first(frame.stored.length.value());
  CHECK(file_.read(frame.stored.begin, stored));
  const auto content = inflate_zstd_frame(stored, memory.content.at_least(frame.at_most.value()));
  if (content) {
    frame.content = ByteCount(*content);
    return {};
  }
  const std::string what = fmt::format("the frame at byte {}", frame.stored.begin.value());
  if (content.error().kind == ErrorKind::Limit && frame.at_most == most_) {
    return frame_too_large(file_, fmt::format("{} holds more than {} bytes", what, most_.value()), most_);
  }
  return fail(ErrorKind::CorruptImage, "{}: {}: {}", file_.name(), what, content.error().text);
}

void Sizing::decode_side_by_side() {
  ByteCount stored;
  ByteCount content;
  for (const Sized& sized : batch_) {
    if (sized.found.content) continue;
    stored = std::max(stored, sized.found.stored.length);
    content = std::max(content, sized.found.at_most);
  }
  const std::uint64_t fitting = kMemory / std::max(1_B, stored + content);
  memories_.resize(std::clamp<std::uint64_t>(fitting, 1, processors()));
  for (Memory& memory : memories_) {  // before threads begin: a shortage is an exception
    (void)memory.stored.at_least(stored.value());
    (void)memory.content.at_least(content.value());
  }
  side_by_side(memories_.size(), batch_.size(), [&](std::size_t thread, std::size_t n) {
    if (!batch_[n].found.content) batch_[n].outcome = decode(batch_[n].found, memories_[thread]);
  });
}

Result<FileFrames> scan_frames(HostFile& file, ByteCount most) {
  TRY(FrameScan scan, FrameScan::of(file, most));
  Sizing sizing(file, most);
  FileFrames::Source source = FileFrames::Source::Scan;
  for (;;) {
    TRY(const std::optional<FoundFrame> frame, scan.next());
    if (!frame) break;
    if (!frame->content) source = FileFrames::Source::Decoding;
    CHECK(sizing.add(*frame));
  }
  CHECK(sizing.settle());
  return FileFrames{std::move(sizing).take(), source};
}

}  // namespace

Result<FileFrames> read_frames(HostFile& file, ByteCount most) {
  TRY(std::optional<Frames> frames, read_seek_table(file));
  if (!frames) return scan_frames(file, most);
  if (frames->largest() > most) {
    return frame_too_large(file, fmt::format("a frame holds {} bytes", frames->largest().value()), most);
  }
  return FileFrames{*std::move(frames), FileFrames::Source::SeekTable};
}

}  // namespace flatimg::seekable_zstd
