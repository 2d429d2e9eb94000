// An open zstd file.
//
// Invariants:
//   1. The map never changes and nothing is ever written: any thread may map and decode at any time.
//   2. Readers that go from frame to frame find the next ones decoded, as far as a quarter of what is kept.
//   3. Frames that are kept and those that are being decoded take at most the budget together, beside the list of
//      frames and what readers still hold.
#pragma once

#include <memory>
#include <semaphore>
#include <string>

#include "codec/block_pool.h"
#include "codec/decode_ahead.h"
#include "codec/decoded_cache.h"
#include "image/image.h"
#include "seekable_zstd/file_frames.h"

namespace flatimg::seekable_zstd {

struct OpenOptions {
  ByteCount cache_size{64u << 20};
  std::string read_only_reason;  // for those who wanted to write
};

/// The largest frame that is taken with that budget.
[[nodiscard]] ByteCount largest_frame(ByteCount cache_size);

class ZstdImage final : public Image {
 public:
  /// Errors as read_frames(); takes long where frames do not state their size.
  static Result<std::unique_ptr<ZstdImage>> open(std::unique_ptr<HostFile> file, OpenOptions options);
  /// The same when the frames are known, and none is larger than largest_frame().
  ZstdImage(std::unique_ptr<HostFile> file, FileFrames frames, OpenOptions options);

  [[nodiscard]] const Traits& traits() const override { return traits_; }
  [[nodiscard]] ByteCount size() const override { return frames_.frames.size(); }
  Result<Extent> map(GuestRange want, Look look) override;
  Result<std::shared_ptr<const AlignedBytes>> decode(const Encoded& encoded) override;
  Result<void> flush() override { return {}; }
  Result<void> close() override { return {}; }
  std::optional<ByteCount> known_data_bytes() override { return size(); }
  [[nodiscard]] Counters counters() const override;

  /// How the sizes of the frames were found.
  [[nodiscard]] FileFrames::Source source() const { return frames_.source; }

 private:
  Result<SharedBytes> decode_frame_at(std::uint64_t index);

  std::unique_ptr<HostFile> file_;
  FileFrames frames_;
  Traits traits_;
  BlockPool blocks_;  // what decoded_ keeps, and what is being decoded
  DecodedCache decoded_;
  std::counting_semaphore<> decoding_;  // one for each frame that may be decoded at the same time
  DecodeAhead ahead_;                   // last: its threads use all of the above
};

}  // namespace flatimg::seekable_zstd
