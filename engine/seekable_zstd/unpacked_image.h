// An open zstd file whose frames are too large to be decoded one by one: it is decoded as a whole into another file, in
// the background, and read from there.
//
// Invariants:
//   1. A read waits until what it wants is there, and no longer. What cannot be decoded is an error where it is read.
//   2. Until it has been decoded once, everything counts as data; where it was decoded before, holes are known.
#pragma once

#include <memory>
#include <string>

#include "host/unpacked_files.h"
#include "image/image.h"
#include "seekable_zstd/unpacking.h"

namespace flatimg::seekable_zstd {

struct UnpackOptions {
  std::shared_ptr<UnpackedFiles> files;
  UnpackLimits limits;
  std::string read_only_reason;  // for those who wanted to write
};

class UnpackedImage final : public Image {
 public:
  /// Takes as long as decoding where the frames do not state their size.
  static Result<std::unique_ptr<UnpackedImage>> open(std::unique_ptr<HostFile> packed, const UnpackOptions& options);
  ~UnpackedImage() override;

  [[nodiscard]] const Traits& traits() const override { return traits_; }
  [[nodiscard]] ByteCount size() const override { return size_; }
  Result<Extent> map(GuestRange want, Look look) override;
  Result<void> flush() override { return {}; }
  Result<void> close() override { return {}; }
  std::optional<ByteCount> known_data_bytes() override;
  [[nodiscard]] Counters counters() const override;

  /// Where it is decoded to, for people; nothing when it was decoded before.
  [[nodiscard]] std::optional<std::string> being_unpacked_to() const;

 private:
  UnpackedImage(std::unique_ptr<HostFile> packed, const UnpackOptions& options);

  Result<void> find_or_begin(UnpackLimits limits);
  void keep();
  Result<Extent> map_complete(GuestRange want, Look look);

  std::unique_ptr<HostFile> packed_;
  const std::shared_ptr<UnpackedFiles> files_;
  std::unique_ptr<HostFile> unpacked_;
  ByteCount size_;
  Traits traits_;
  std::unique_ptr<Unpacking> unpacking_;  // nullptr: everything is there
};

/// The image of a file when only its size is asked for: nothing is decoded, all of it is data. Unsupported where the
/// frames do not state their size.
Result<std::unique_ptr<Image>> image_of_size(HostFile& packed);

}  // namespace flatimg::seekable_zstd
