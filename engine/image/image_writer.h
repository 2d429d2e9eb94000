// An image of a format that is written once, from its beginning to its end, and can then only be read.
//
// Parts of the disk are encoded by any number of threads; what comes out is put into the file in order, one part at a
// time. Nothing is complete before finish().
#pragma once

#include <functional>
#include <span>

#include "base/range.h"
#include "base/result.h"

namespace flatimg {

class ImageWriter {
 public:
  ImageWriter() = default;
  ImageWriter(const ImageWriter&) = delete;
  ImageWriter& operator=(const ImageWriter&) = delete;
  virtual ~ImageWriter() = default;

  /// What is encoded at once: a part begins at a multiple of it, and ends at one or at the end of the disk.
  [[nodiscard]] virtual ByteCount unit() const = 0;

  /// Puts an encoded part behind what is in the file. Owns the encoded bytes.
  using Append = std::function<Result<void>()>;

  /// What the disk shows in `where`. Any thread, several at once; `bytes` need not outlive the call.
  virtual Result<Append> encode(GuestRange where, std::span<const std::byte> bytes) = 0;
  /// Nothing is there: it reads as zeroes. Any thread.
  virtual Result<Append> encode_hole(GuestRange where) = 0;

  /// Behind the last part. Complete and on stable storage on return.
  virtual Result<void> finish() = 0;
};

}  // namespace flatimg
