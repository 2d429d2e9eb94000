// Decodes zstd frames of any size, from the beginning to the end, with memory for one window.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/result.h"
#include "base/units.h"

struct ZSTD_DCtx_s;

namespace flatimg {

class ZstdStream {
 public:
  /// Frames that need a larger window are refused (Limit) when they begin. NoMemory.
  static Result<ZstdStream> with_window(ByteCount most);

  struct Step {
    std::size_t taken = 0;  // bytes of the input
    std::size_t given = 0;  // bytes of the output
  };
  /// Goes on as far as input and output reach. CorruptImage for what is no frame, or damaged, its checksum included.
  Result<Step> run(std::span<const std::byte> in, std::span<std::byte> out);
  /// Whether the input may end here: no frame has begun that has not ended.
  [[nodiscard]] bool between_frames() const { return between_frames_; }

 private:
  struct Free {
    void operator()(ZSTD_DCtx_s* context) const;
  };
  ZstdStream(std::unique_ptr<ZSTD_DCtx_s, Free> context, ByteCount most)
      : context_(std::move(context)), most_window_(most) {}

  std::unique_ptr<ZSTD_DCtx_s, Free> context_;
  ByteCount most_window_;
  bool between_frames_ = true;
};

}  // namespace flatimg
