// Writes a seekable zstd file: frames of one size, and the table of them at the end.
//
// Invariant: a frame states what it holds, and carries its own checksum when one is wanted, so that every program that
// knows zstd verifies it; the table has none.
#pragma once

#include <memory>
#include <vector>

#include "codec/zstd.h"
#include "host/appended_file.h"
#include "image/image_writer.h"

namespace flatimg::seekable_zstd {

struct WriteOptions {
  std::optional<ByteCount> frame;  // what each holds: a power of two from 4 KiB to 8 MiB; nullopt: 128 KiB (which
                                   // crosvm reads), or more where the table would become too long
  ZstdForm form{.level = 3, .checksum = true};
};

class ZstdWriter final : public ImageWriter {
 public:
  /// BadUsage for options that make no sense, or for a disk that would have too many frames.
  static Result<void> check(ByteCount disk, const WriteOptions& options);
  /// `file` is empty and outlives it. check() has passed.
  static Result<std::unique_ptr<ZstdWriter>> begin(HostFile& file, ByteCount disk, const WriteOptions& options);

  [[nodiscard]] ByteCount unit() const override { return frame_; }
  Result<Append> encode(GuestRange where, std::span<const std::byte> bytes) override;
  Result<Append> encode_hole(GuestRange where) override;
  Result<void> finish() override;

 private:
  struct EncodedFrame {
    std::vector<std::byte> bytes;
    std::uint32_t content = 0;
  };
  ZstdWriter(HostFile& file, ByteCount frame, ZstdForm form) : file_(file), frame_(frame), form_(form) {}

  Result<EncodedFrame> encode_frame(std::span<const std::byte> bytes) const;
  Result<void> append(const EncodedFrame& frame);

  struct Entry {
    std::uint32_t stored = 0;
    std::uint32_t content = 0;
  };
  AppendedFile file_;
  const ByteCount frame_;
  const ZstdForm form_;
  EncodedFrame zeroes_;  // a whole frame of them
  std::vector<Entry> table_;
};

}  // namespace flatimg::seekable_zstd
