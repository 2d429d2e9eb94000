// Qcow1Image: compressed clusters, read and written. The token of an Encoded extent is the L2 entry: it names the host
// bytes exactly, and streams never move and are never overwritten.
#include "base/text.h"
#include "codec/deflate.h"
#include "qcow1/reservation.h"

namespace flatimg::qcow1 {

Result<std::shared_ptr<const AlignedBytes>> Qcow1Image::decode(const Encoded& encoded) {
  return decoded_.get_or_decode(encoded.token, [&] { return decode_cluster(encoded.token); });
}

Result<std::shared_ptr<const AlignedBytes>> Qcow1Image::decode_cluster(std::uint64_t entry) {
  const HostRange stored = layout_.meaning(entry).range();
  if (stored.end() > file_end()) {
    return fail(ErrorKind::CorruptImage, "{}: a compressed cluster is stored at byte {}, behind the end of the file",
                shown(file_->name()), stored.begin.value());
  }
  thread_local AlignedBuffer stream_memory;
  const auto stream = stream_memory.at_least(stored.length.value());
  CHECK(file_->read(stored.begin, stream));
  auto cluster = blocks_.block(layout_.cluster().value());
  if (auto decoded = inflate_exactly(stream, cluster->bytes()); !decoded) {
    return Failure(
        std::move(decoded.error())
            .within(fmt::format("{}: the compressed cluster at byte {}", shown(file_->name()), stored.begin.value())));
  }
  return cluster;
}

// --- writing --------------------------------------------------------------------------------------------------------

Result<void> Qcow1Image::check_can_encode() const {
  if (encryption_) {
    return fail(ErrorKind::Unsupported, "{}: an encrypted image cannot hold compressed data", shown(file_->name()));
  }
  if (extents_) {
    return fail(ErrorKind::Unsupported, "{}: an image with preallocated extents cannot hold compressed data",
                shown(file_->name()));
  }
  return {};
}

Result<std::vector<std::byte>> Qcow1Image::encode(std::span<const std::byte> unit) {
  CHECK(check_can_encode());
  thread_local AlignedBuffer memory;
  const auto stream = memory.at_least(unit.size() - 1);
  TRY(const std::size_t used, deflate_into(unit, stream));
  return std::vector<std::byte>(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(used));
}

Result<Placement> Qcow1Image::place_encoded(GuestRange unit, ByteCount length) {
  CHECK(check_can_encode());
  CHECK(file_->sound());
  CHECK(begin_writing());
  CHECK(throttle());
  TRY(EntryPlace place, entry_to_change(unit.begin));
  TRY(const FreeSpace::Grant grant, free_space_.take_stream(length));
  if (!layout_.may_hold_stream(grant.range.end())) {
    return fail(ErrorKind::NoSpace, "{}: compressed data cannot lie behind byte {}", shown(file_->name()),
                grant.range.begin.value());
  }
  Placement result;
  result.file = file_.get();
  result.at = grant.range.begin;
  result.fill = unit;
  result.reservation = std::make_unique<Reservation>(*this, std::move(place), grant, Reservation::Takes::Stream);
  return result;
}

Result<void> Qcow1Image::link_stream(Reservation& reservation) {
  Meaning old;
  {
    auto edit = reservation.entries.page.edit(Step::Mention);
    old = layout_.meaning(edit.load(reservation.entries.word));
    edit.store(reservation.entries.word, layout_.compressed_entry(reservation.grant.range));
    edit.needs_data_first();
  }
  reservation.linked = true;
  flusher_.note_change();
  if (old.kind == Kind::Data) free_space_.release_later(old.range());
  return {};
}

}  // namespace flatimg::qcow1
