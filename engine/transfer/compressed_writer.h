// A disk that stores its units compressed where that makes them smaller.
#pragma once

#include "image/image_writer.h"
#include "view/disk.h"

namespace flatimg::transfer {

class CompressedWriter final : public ImageWriter {
 public:
  /// `disk` shows zeroes, and outlives this.
  explicit CompressedWriter(Disk& disk) : disk_(disk) {}

  [[nodiscard]] ByteCount unit() const override { return disk_.traits().unit; }
  Result<Append> encode(GuestRange where, std::span<const std::byte> bytes) override;
  Result<Append> encode_hole(GuestRange where) override;
  Result<void> finish() override { return disk_.flush(); }

 private:
  struct Unit {
    GuestOffset at;
    std::vector<std::byte> bytes;
    bool encoded = false;
  };
  Result<std::optional<Unit>> encode_unit(GuestOffset at, std::span<const std::byte> bytes);

  Disk& disk_;
};

}  // namespace flatimg::transfer
