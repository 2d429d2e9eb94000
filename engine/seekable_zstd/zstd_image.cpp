#include "seekable_zstd/zstd_image.h"

#include <algorithm>

#include "seekable_zstd/frame_decoder.h"
#include "seekable_zstd/frame_scan.h"

namespace flatimg::seekable_zstd {

namespace {

constexpr ByteCount kUnit{4096};  // nobody holds the map lock; it only says how
                                  // far one look for holes goes
constexpr std::uint64_t kMostAtOnce = 64;

ByteCount half_of(ByteCount budget) { return ByteCount(budget.value() / 2); }

// Each takes memory for what is stored and for what it holds.
std::ptrdiff_t frames_at_once(ByteCount budget, ByteCount largest) {
  const std::uint64_t fitting = half_of(budget) / std::max(1_B, largest * 2);
  return static_cast<std::ptrdiff_t>(std::clamp<std::uint64_t>(fitting, 1, kMostAtOnce));
}

// A part of what is kept only: otherwise frames would go before they are read.
std::uint64_t frames_ahead(ByteCount budget, ByteCount largest) {
  constexpr std::uint64_t kMostAhead = 16;
  return std::min(half_of(budget) / std::max(1_B, largest * 4), kMostAhead);
}

// One of those who may decode now.
class Turn {
 public:
  explicit Turn(std::counting_semaphore<>& turns) : turns_(turns) { turns_.acquire(); }
  ~Turn() { turns_.release(); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  std::counting_semaphore<>& turns_;
};

}  // namespace

ByteCount largest_frame(ByteCount cache_size) { return std::min(ByteCount(cache_size.value() / 4), kLargestFrame); }

ZstdImage::ZstdImage(std::unique_ptr<HostFile> file, FileFrames frames, OpenOptions options)
    : file_(std::move(file)),
      frames_(std::move(frames)),
      blocks_(options.cache_size),
      decoded_(half_of(options.cache_size)),
      decoding_(frames_at_once(options.cache_size, frames_.frames.largest())),
      ahead_(frames_.frames.count(), frames_ahead(options.cache_size, frames_.frames.largest()),
             [this](std::uint64_t index) { (void)decode_frame_at(index); }) {
  traits_.format = "zstd";
  traits_.unit = kUnit;
  traits_.fixed_map = true;
  traits_.read_only_reason = std::move(options.read_only_reason);
}

Result<std::unique_ptr<ZstdImage>> ZstdImage::open(std::unique_ptr<HostFile> file, OpenOptions options) {
  TRY(FileFrames frames, read_frames(*file, largest_frame(options.cache_size)));
  return std::make_unique<ZstdImage>(std::move(file), std::move(frames), std::move(options));
}

Result<Extent> ZstdImage::map(GuestRange want, Look /*look*/) {
  const Frames::Place place = frames_.frames.at(want.begin);
  return Extent{intersection(want, place.where), Encoded{place.index, place.where}};
}

Result<std::shared_ptr<const AlignedBytes>> ZstdImage::decode(const Encoded& encoded) {
  ahead_.wanted(encoded.token);
  return decode_frame_at(encoded.token);
}

Result<SharedBytes> ZstdImage::decode_frame_at(std::uint64_t index) {
  return decoded_.get_or_decode(index, [&] {
    const Turn turn(decoding_);
    return decode_frame(*file_, frames_.frames.frame(index), blocks_);
  });
}

Counters ZstdImage::counters() const {
  const DecodedCache::Counts counts = decoded_.counts();
  return {{"frames", frames_.frames.count()},
          {"decoded-cache-hits", counts.hits},
          {"decoded-cache-misses", counts.misses},
          {"decoded-cache-joined", counts.joined},
          {"decoded-cache-bytes", counts.kept.value()}};
}

}  // namespace flatimg::seekable_zstd
