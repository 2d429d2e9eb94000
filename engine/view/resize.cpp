// Disk: another size, internal snapshots, and an overlay that becomes empty. Everything is held in Change meanwhile,
// behind a flush, so that little waits to be written.
//
// A larger disk shows zeroes behind its old end, whatever the tables, the last cluster or an image below hold there:
// that is made so, and is on disk, before the format records the new size.
#include <algorithm>

#include "base/limits.h"
#include "view/parts.h"

namespace flatimg {

namespace {

constexpr ByteCount kSector{512};
constexpr GuestRange kEverything{GuestOffset(0), ByteCount(std::uint64_t{1} << 63)};

}  // namespace

Result<void> Disk::resize(ByteCount size) {
  if (!writable()) return fail(ErrorKind::Denied, "the disk is read-only");
  if (parts_) return top_->resize(size);  // says that it cannot
  if (size > limits::kDisk) return fail(ErrorKind::Limit, "a disk of {} bytes is too large", size.value());
  size = align_up(size, std::min(kSector, top_->traits().granule));
  CHECK(top_->flush());
  const RangeLock::Held held(lock_, kEverything, RangeLock::Mode::Change);
  return size >= this->size() ? grow_held(size) : shrink_held(size);
}

Result<void> Disk::grow_held(ByteCount size) {
  const GuestRange fresh = GuestRange::between(whole_disk().end(), GuestOffset(size.value()));
  if (fresh.empty()) return {};
  CHECK(top_->make_room(size));
  if (!top_->traits().fixed_map) CHECK(clear_fresh(fresh));
  return top_->resize(size);  // whoever asks for the count next goes on counting
}

// Zeroes what is not zero, in whole granules where the format can say that.
Result<void> Disk::clear_fresh(GuestRange fresh) {
  const ByteCount granule = top_->traits().granule;
  for (GuestRange left = fresh; !left.empty();) {
    TRY(const Resolved piece, resolve_held(left, Look::Data));
    GuestOffset end = piece.extent.where.end();
    if (!std::holds_alternative<Zeroes>(piece.extent.source)) {
      const GuestOffset begin = std::max(fresh.begin, align_down(left.begin, granule));
      end = std::min(fresh.end(), align_up(end, granule));
      CHECK(zero_held(GuestRange::between(begin, end), Space::Release, fresh.end()));
    }
    left = GuestRange::between(end, fresh.end());
  }
  return {};
}

Result<void> Disk::shrink_held(ByteCount size) {
  const GuestRange counted =
      GuestRange::between(GuestOffset(0), std::min(data_count_.counted_to(), whole_disk().end()));
  const GuestRange lost = counted.without_first(size);
  TRY(const ByteCount data, data_bytes_in(lost));
  CHECK(top_->resize(size));
  if (!lost.empty()) data_count_.retreat(lost.begin, data);
  return {};
}

// --- other contents -------------------------------------------------------------------------------------------------

Result<void> Disk::with_all_held(const std::function<Result<void>()>& change) {
  if (!writable()) return fail(ErrorKind::Denied, "the disk is read-only");
  CHECK(top_->flush());
  const RangeLock::Held held(lock_, kEverything, RangeLock::Mode::Change);
  return change();
}

Result<void> Disk::create_snapshot(const SnapshotInfo& wanted) {
  return with_all_held([&] { return top_->create_snapshot(wanted); });
}

Result<void> Disk::apply_snapshot(std::string_view id_or_name) {
  return with_all_held([&]() -> Result<void> {
    CHECK(top_->apply_snapshot(id_or_name));
    count_anew();
    return {};
  });
}

Result<void> Disk::delete_snapshot(std::string_view name_or_id) {
  return with_all_held([&] { return top_->delete_snapshot(name_or_id); });
}

Result<void> Disk::empty() {
  return with_all_held([&]() -> Result<void> {
    CHECK(top_->empty());
    count_anew();
    return {};
  });
}

void Disk::count_anew() { data_count_.retreat(GuestOffset(0), data_count_.bytes()); }

}  // namespace flatimg
