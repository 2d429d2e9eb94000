#include "codec/deflate.h"

#include <libdeflate.h>
#include <zlib.h>

#include <limits>
#include <memory>

namespace flatimg {

namespace {

// Reading tolerates the largest window; QEMU itself reads and writes with 12, so that nothing larger may be written.
constexpr int kRawWindowToRead = -15;
constexpr int kRawWindowToWrite = -12;
constexpr int kMemoryLevel = 9;

enum class Verdict { Full, Refused };

// zlib counts in unsigned int. Clusters have at most 2 MiB, their streams at most twice that.
bool fits_zlib(std::size_t bytes) { return bytes <= std::numeric_limits<uInt>::max(); }

// zlib's interface predates const; it writes to next_out only.
Bytef* zlib_input(std::span<const std::byte> in) {
  return const_cast<Bytef*>(reinterpret_cast<const Bytef*>(in.data()));
}
Bytef* zlib_output(std::span<std::byte> out) { return reinterpret_cast<Bytef*>(out.data()); }

struct FreeDecompressor {
  void operator()(libdeflate_decompressor* decompressor) const { libdeflate_free_decompressor(decompressor); }
};

// Two to three times as fast as zlib, but it wants to see the end of the stream.
Verdict inflate_fast(std::span<const std::byte> in, std::span<std::byte> out) {
  thread_local const std::unique_ptr<libdeflate_decompressor, FreeDecompressor> decompressor(
      libdeflate_alloc_decompressor());
  if (!decompressor) return Verdict::Refused;
  std::size_t used = 0;
  std::size_t produced = 0;
  const auto result = libdeflate_deflate_decompress_ex(decompressor.get(), in.data(), in.size(), out.data(), out.size(),
                                                       &used, &produced);
  return result == LIBDEFLATE_SUCCESS && produced == out.size() ? Verdict::Full : Verdict::Refused;
}

class InflateStream {
 public:
  InflateStream() : ready_(inflateInit2(&stream_, kRawWindowToRead) == Z_OK) {}
  ~InflateStream() {
    if (ready_) inflateEnd(&stream_);
  }
  InflateStream(const InflateStream&) = delete;
  InflateStream& operator=(const InflateStream&) = delete;

  // Full also where the stream would go on: only the cluster counts.
  Verdict run(std::span<const std::byte> in, std::span<std::byte> out) {
    if (!ready_) return Verdict::Refused;
    stream_.next_in = zlib_input(in);
    stream_.avail_in = static_cast<uInt>(in.size());
    stream_.next_out = zlib_output(out);
    stream_.avail_out = static_cast<uInt>(out.size());
    const int result = inflate(&stream_, Z_FINISH);
    const bool acceptable = result == Z_STREAM_END || result == Z_BUF_ERROR || result == Z_OK;
    return acceptable && stream_.avail_out == 0 ? Verdict::Full : Verdict::Refused;
  }

 private:
  z_stream stream_{};
  bool ready_;
};

// One for each thread: its tables take a quarter of a megabyte, too much to allocate for each cluster.
class DeflateStream {
 public:
  DeflateStream()
      : ready_(deflateInit2(&stream_, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kRawWindowToWrite, kMemoryLevel,
                            Z_DEFAULT_STRATEGY) == Z_OK) {}
  ~DeflateStream() {
    if (ready_) deflateEnd(&stream_);
  }
  DeflateStream(const DeflateStream&) = delete;
  DeflateStream& operator=(const DeflateStream&) = delete;

  Result<std::size_t> run(std::span<const std::byte> in, std::span<std::byte> out) {
    if (!ready_ || deflateReset(&stream_) != Z_OK) return fail(ErrorKind::NoMemory, "no memory to compress");
    stream_.next_in = zlib_input(in);
    stream_.avail_in = static_cast<uInt>(in.size());
    stream_.next_out = zlib_output(out);
    stream_.avail_out = static_cast<uInt>(out.size());
    if (deflate(&stream_, Z_FINISH) != Z_STREAM_END) return std::size_t{0};
    return out.size() - stream_.avail_out;
  }

 private:
  z_stream stream_{};
  bool ready_;
};

}  // namespace

Result<void> inflate_exactly(std::span<const std::byte> in, std::span<std::byte> out) {
  if (!fits_zlib(in.size()) || !fits_zlib(out.size())) return fail(ErrorKind::Limit, "compressed data is too large");
  if (out.empty() || inflate_fast(in, out) == Verdict::Full) return {};
  if (InflateStream().run(in, out) == Verdict::Full) return {};
  return fail(ErrorKind::CorruptImage, "compressed data (deflate) is damaged or does not yield {} bytes", out.size());
}

Result<std::size_t> deflate_into(std::span<const std::byte> in, std::span<std::byte> out) {
  if (!fits_zlib(in.size()) || !fits_zlib(out.size())) return fail(ErrorKind::Limit, "too much to compress at once");
  if (out.empty()) return std::size_t{0};
  thread_local DeflateStream stream;
  return stream.run(in, out);
}

}  // namespace flatimg
