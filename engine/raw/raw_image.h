// A raw image: the disk is the file (or the block device), byte for byte. The smallest format; begin reading here.
//
// Invariants:
//   1. The map never changes: every byte may be overwritten where it is, so no map lock is needed.
//   2. A raw image whose format was only guessed never becomes an image of another format by a guest's write
//      (promise S4): its traits carry the guard for its whole life.
#pragma once

#include <atomic>

#include "cache/flusher.h"
#include "image/image.h"

namespace flatimg::raw {

/// `guard` is set when the format was guessed.
using FirstSectorGuard = std::function<Result<void>(std::span<const std::byte>)>;

class RawImage final : public Image {
 public:
  /// With a reason it is not written, even where the file could be.
  static Result<std::unique_ptr<RawImage>> open(std::unique_ptr<HostFile> file, FirstSectorGuard guard,
                                                std::string read_only_reason = {});

  [[nodiscard]] const Traits& traits() const override { return traits_; }
  [[nodiscard]] ByteCount size() const override { return ByteCount(size_.load()); }
  Result<Extent> map(GuestRange want, Look look) override;
  Result<GuestRange> zero(GuestRange whole, Space space) override;
  Result<void> resize(ByteCount size) override;
  Result<void> flush() override;
  Result<void> close() override;
  std::optional<ByteCount> known_data_bytes() override;

 private:
  RawImage(std::unique_ptr<HostFile> file, ByteCount size, FirstSectorGuard guard, std::string read_only_reason);

  std::unique_ptr<HostFile> file_;
  std::atomic<std::uint64_t> size_;
  Traits traits_;
  Flusher flusher_;  // so that callers that wait together share one barrier
};

}  // namespace flatimg::raw
