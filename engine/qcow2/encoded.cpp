// Qcow2Image: compressed clusters, read and written. The token of an Encoded extent is the L2 entry: it names the host
// bytes, and a cached cluster can never be taken for another one, because no entry says the same after the bytes have
// changed.
#include "base/limits.h"
#include "codec/deflate.h"
#include "codec/zstd.h"
#include "qcow2/reservation.h"

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
  auto cluster = blocks_.block(layout_.cluster().value());
  auto decoded = header_.compression == Compression::Zstd ? inflate_zstd_exactly(stream, cluster->bytes())
                                                          : inflate_exactly(stream, cluster->bytes());
  if (!decoded) {
    return Failure(std::move(decoded.error())
                       .within(fmt::format("{}: the compressed cluster at byte {}", file_->name(), range.at.value())));
  }
  return cluster;
}

// --- writing --------------------------------------------------------------------------------------------------------

Result<void> Qcow2Image::check_can_encode() const {
  if (data_file_)
    return fail(ErrorKind::Unsupported, "{}: an external data file cannot hold compressed data", file_->name());
  if (encryption_)
    return fail(ErrorKind::Unsupported, "{}: an encrypted image cannot hold compressed data", file_->name());
  return {};
}

Result<std::vector<std::byte>> Qcow2Image::encode(std::span<const std::byte> unit) {
  CHECK(check_can_encode());
  thread_local AlignedBuffer memory;
  const auto stream = memory.at_least(unit.size() - 1);
  TRY(const std::size_t used,
      header_.compression == Compression::Zstd ? zstd_into(unit, stream) : deflate_into(unit, stream));
  return std::vector<std::byte>(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(used));
}

Result<Placement> Qcow2Image::place_stream(GuestRange unit, ByteCount length) {
  CHECK(check_can_encode());
  CHECK(begin_writing());
  CHECK(throttle());
  TRY(EntryPlace place, entry_to_change(unit.begin));
  CHECK(check_replaceable(load_entry(place, 0)));
  TRY(const HostRange stored, stream_space_.take(length));
  auto reservation = std::make_unique<Reservation>(*this, std::move(place), Reservation::Stream{stored}, stored.begin);
  if (!layout_.may_hold_stream(stored.end())) {
    return fail(ErrorKind::NoSpace, "{}: compressed data cannot lie behind byte {}", file_->name(),
                stored.begin.value());
  }
  Placement result;
  result.file = file_.get();
  result.at = stored.begin;
  result.fill = unit;
  result.reservation = std::move(reservation);
  return result;
}

}  // namespace flatimg::qcow2
