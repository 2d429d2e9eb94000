#include "codec/zstd.h"

#include <zstd.h>
#include <zstd_errors.h>

#include <memory>

#include "base/aligned_buffer.h"
#include "base/endian.h"

namespace flatimg {

namespace {

struct FreeContext {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

// The library may have been built with decoders for the formats before 0.8. They are old code that no image needs.
bool begins_frame_of_today(std::span<const std::byte> in) {
  if (in.size() < sizeof(std::uint32_t)) return false;
  const auto magic = load_le<std::uint32_t>(in, 0);
  return magic == ZSTD_MAGICNUMBER || (magic & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START;
}

Failure damaged(std::string_view why) {
  return fail(ErrorKind::CorruptImage, "compressed data (zstd) is damaged: {}", why);
}

struct FrameSizes {
  std::size_t encoded = 0;
  std::size_t decoded = 0;
};

Result<FrameSizes> decode_frame(ZSTD_DCtx* context, std::span<const std::byte> in, std::span<std::byte> out) {
  if (!begins_frame_of_today(in)) return damaged("no further frame where one should begin");
  const std::size_t encoded = ZSTD_findFrameCompressedSize(in.data(), in.size());
  if (ZSTD_isError(encoded)) return damaged(ZSTD_getErrorName(encoded));
  const std::size_t decoded = ZSTD_decompressDCtx(context, out.data(), out.size(), in.data(), encoded);
  if (ZSTD_getErrorCode(decoded) == ZSTD_error_dstSize_tooSmall) {
    return fail(ErrorKind::Limit, "compressed data (zstd) is damaged: it holds more than {} bytes", out.size());
  }
  if (ZSTD_isError(decoded)) return damaged(ZSTD_getErrorName(decoded));
  return FrameSizes{encoded, decoded};
}

ZSTD_DCtx* context_of_thread() {
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeContext> context(ZSTD_createDCtx());
  return context.get();
}

// 0 when it does not fit.
Result<std::size_t> compress(std::span<const std::byte> in, std::span<std::byte> out, ZstdForm form) {
  thread_local const std::unique_ptr<ZSTD_CCtx, FreeContext> context(ZSTD_createCCtx());
  if (!context) return fail(ErrorKind::NoMemory, "no memory to compress");
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, form.level);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, form.checksum ? 1 : 0);
  const std::size_t used = ZSTD_compress2(context.get(), out.data(), out.size(), in.data(), in.size());
  if (!ZSTD_isError(used)) return used;
  if (ZSTD_getErrorCode(used) == ZSTD_error_dstSize_tooSmall) return std::size_t{0};
  return fail(ErrorKind::NoMemory, "cannot compress: {}", ZSTD_getErrorName(used));
}

}  // namespace

Result<std::size_t> inflate_zstd_frame(std::span<const std::byte> in, std::span<std::byte> out) {
  ZSTD_DCtx* const context = context_of_thread();
  if (context == nullptr) return fail(ErrorKind::NoMemory, "no memory to decompress");
  TRY(const FrameSizes frame, decode_frame(context, in, out));
  if (frame.encoded != in.size()) return damaged("a frame ends where it should not");
  return frame.decoded;
}

Result<void> inflate_zstd_exactly(std::span<const std::byte> in, std::span<std::byte> out) {
  ZSTD_DCtx* const context = context_of_thread();
  if (context == nullptr) return fail(ErrorKind::NoMemory, "no memory to decompress");
  // Ends: every frame takes at least its own header from `in`.
  while (!out.empty()) {
    auto frame = decode_frame(context, in, out);
    if (!frame && frame.error().kind == ErrorKind::Limit) frame.error().kind = ErrorKind::CorruptImage;
    if (!frame) return Failure(std::move(frame.error()));
    in = in.subspan(frame->encoded);
    out = out.subspan(frame->decoded);
  }
  return {};
}

Result<std::size_t> zstd_into(std::span<const std::byte> in, std::span<std::byte> out) {
  return compress(in, out, ZstdForm{});
}

Result<std::vector<std::byte>> zstd_frame(std::span<const std::byte> in, ZstdForm form) {
  thread_local AlignedBuffer memory;
  const auto out = memory.at_least(ZSTD_compressBound(in.size()));
  TRY(const std::size_t used, compress(in, out, form));
  return std::vector<std::byte>(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(used));
}

}  // namespace flatimg
