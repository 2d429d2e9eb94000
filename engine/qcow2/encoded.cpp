// Qcow2Image: compressed clusters. The token of an Encoded extent is the L2 entry: it names the host bytes, and a
// cached cluster can never be taken for another one, because no entry says the same after the bytes have changed.
#include "base/limits.h"
#include "codec/deflate.h"
#include "codec/zstd.h"
#include "qcow2/qcow2_image.h"

namespace flatimg::qcow2 {

Result<std::shared_ptr<const AlignedBytes>> Qcow2Image::decode(const Encoded& encoded) {
  return decoded_.get_or_decode(encoded.token, [&] { return decode_cluster(encoded.token); });
}

Result<std::shared_ptr<const AlignedBytes>> Qcow2Image::decode_cluster(std::uint64_t token) {
  const CompressedRange range = layout_.compressed_range({token, 0});
  if (range.at.value() > limits::kQcow2HostOffset || cluster_number(range.at) >= free_space_.file_clusters()) {
    return fail(ErrorKind::CorruptImage, "{}: a compressed cluster is stored at byte {}, behind the end of the file",
                file_->name(), range.at.value());
  }
  thread_local AlignedBuffer stream_memory;
  const auto stream = stream_memory.at_least(range.length.value());
  CHECK(file_->read(range.at, stream));
  auto cluster = std::make_shared<AlignedBytes>(layout_.cluster().value());
  auto decoded = header_.compression == Compression::Zstd ? inflate_zstd_exactly(stream, cluster->bytes())
                                                          : inflate_exactly(stream, cluster->bytes());
  if (!decoded) {
    return Failure(std::move(decoded.error())
                       .within(fmt::format("{}: the compressed cluster at byte {}", file_->name(), range.at.value())));
  }
  return cluster;
}

}  // namespace flatimg::qcow2
