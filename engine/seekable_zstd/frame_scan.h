// The frames of a file, found by walking them: the headers of frames and of blocks, never the data.
//
// Invariant: a frame that was found lies within the file, is below 4 GiB, and either states what it holds, or says it
// by its blocks, or is known to hold no more than at_most.
#pragma once

#include <optional>

#include "host/record_reader.h"
#include "seekable_zstd/frame_header.h"

namespace flatimg::seekable_zstd {

/// No budget takes a larger frame: it is the largest that the cache of decoded blocks keeps for certain.
inline constexpr ByteCount kLargestFrame = 8_MiB;

struct FoundFrame {
  HostRange stored;
  std::optional<ByteCount> content;  // nullopt: only decoding can tell
  ByteCount at_most;                 // that it can hold
};

class FrameScan {
 public:
  /// `file` outlives it. A frame that holds more than `most` is an error as soon as that is known.
  static Result<FrameScan> of(HostFile& file, ByteCount most);

  /// The next frame of data, skippable ones passed over; nothing behind the last. CorruptImage for what is no frame,
  /// InvalidImage where the file ends within one, Unsupported for dictionaries, Limit for frames that are too large.
  Result<std::optional<FoundFrame>> next();

 private:
  FrameScan(HostFile& file, ByteCount most, ByteCount file_size)
      : file_(&file), most_(most), file_size_(file_size.value()), reader_(file) {}

  Result<FoundFrame> walk_frame(const FrameHeader& header);
  struct Blocks {
    std::uint64_t end = 0;         // in the file
    std::uint64_t plain = 0;       // bytes that raw and RLE blocks hold
    std::uint64_t compressed = 0;  // blocks that do not say what they hold
  };
  Result<Blocks> walk_blocks(std::uint64_t begin);
  [[nodiscard]] Result<void> must_hold_little(std::uint64_t content) const;
  [[nodiscard]] Result<void> must_be_small(std::uint64_t stored) const;
  [[nodiscard]] Failure cut_off() const;

  HostFile* file_;
  ByteCount most_;
  std::uint64_t file_size_;
  std::uint64_t at_ = 0;  // of the next frame
  std::uint64_t number_ = 0;
  RecordReader reader_;
};

/// The error for a frame that is too large, with the ways out. `what` says how large it is.
[[nodiscard]] Failure frame_too_large(const HostFile& file, std::string_view what, ByteCount most);

}  // namespace flatimg::seekable_zstd
