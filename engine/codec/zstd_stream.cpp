#include "codec/zstd_stream.h"

#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <bit>

namespace flatimg {

void ZstdStream::Free::operator()(ZSTD_DCtx_s* context) const { ZSTD_freeDCtx(context); }

Result<ZstdStream> ZstdStream::with_window(ByteCount most) {
  std::unique_ptr<ZSTD_DCtx_s, Free> context(ZSTD_createDCtx());
  if (!context) return fail(ErrorKind::NoMemory, "no memory to decompress");
  const ZSTD_bounds bounds = ZSTD_dParam_getBounds(ZSTD_d_windowLogMax);
  const int wanted = static_cast<int>(std::bit_width(most.value())) - 1;
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, std::clamp(wanted, bounds.lowerBound, bounds.upperBound));
  return ZstdStream(std::move(context), most);
}

Result<ZstdStream::Step> ZstdStream::run(std::span<const std::byte> in, std::span<std::byte> out) {
  ZSTD_inBuffer input{in.data(), in.size(), 0};
  ZSTD_outBuffer output{out.data(), out.size(), 0};
  const std::size_t left = ZSTD_decompressStream(context_.get(), &output, &input);
  if (ZSTD_getErrorCode(left) == ZSTD_error_frameParameter_windowTooLarge) {
    return fail(ErrorKind::Limit, "a frame needs a window of more than {} bytes: raise cache-size",
                most_window_.value());
  }
  if (ZSTD_isError(left)) {
    return fail(ErrorKind::CorruptImage, "compressed data (zstd) is damaged: {}", ZSTD_getErrorName(left));
  }
  if (input.pos != 0 || output.pos != 0) between_frames_ = left == 0;
  return Step{input.pos, output.pos};
}

}  // namespace flatimg
