// Qcow1Image: space for new data, and linking it; new L2 tables.
//
// place() keeps the page with the entries in memory, so that link() cannot fail. The caller writes the data between the
// two, so an entry never mentions bytes that were not handed to the host before (O2); write_back() puts the barrier
// between them where it is needed.
#include <algorithm>

#include "qcow1/reservation.h"

namespace flatimg::qcow1 {

// --- L2 tables ------------------------------------------------------------------------------------------------------

// The L2 table for an L1 entry, made when there is none, with host space for all that may change in it.
Result<HostOffset> Qcow1Image::own_table(std::uint64_t l1_index) {
  const MutexLock lock(tables_mutex_);
  const auto table = table_of(l1_index);
  if (!table) return make_table(l1_index);
  CHECK(reserve_table(l1_index, *table));
  return *table;
}

// An image is a sparse file as a rule, and a page of a table may be a hole of it. A flush must find room there: what it
// writes was acknowledged long ago.
Result<void> Qcow1Image::reserve_table(std::uint64_t l1_index, HostOffset table) {
  if (reserved_tables_[l1_index]) return {};
  CHECK(file_->reserve({table, layout_.table_bytes()}));
  reserved_tables_[l1_index] = true;
  return {};
}

// The new table is complete in the host's hands before L1 mentions it, and write_back() fences a changed L1 (O4).
Result<HostOffset> Qcow1Image::make_table(std::uint64_t l1_index) {
  CHECK(file_->reserve({l1_.at() + ByteCount(8) * l1_index, ByteCount(8)}));
  HostOffset table;
  if (makes_extents() && extents_) {
    TRY(table, make_extent());
  } else {
    if (extents_) CHECK(leave_extents());
    TRY(const FreeSpace::Grant grant, free_space_.take_at_end(layout_.table_bytes(), layout_.cluster()));
    CHECK(fill_table(grant));
    table = grant.range.begin;
  }
  l1_.store(l1_index, table.value());
  ++tables_;
  l1_changed_ = true;
  reserved_tables_[l1_index] = true;
  flusher_.note_change();
  return table;
}

Result<void> Qcow1Image::fill_table(const FreeSpace::Grant& grant) {
  CHECK(file_->reserve(grant.range));
  if (grant.reads_zero) return {};
  return file_->zero(grant.range, Space::Keep);
}

// --- place ----------------------------------------------------------------------------------------------------------

Placement Qcow1Image::placement(GuestRange fill, std::unique_ptr<Reservation> reservation) {
  Placement result;
  result.file = file_.get();
  result.at = reservation->grant.range.begin;
  result.fill = fill;
  result.reads_zero = reservation->grant.reads_zero && !encryption_;  // zeroes of the host are noise when deciphered
  if (encryption_) result.cipher = encryption_->at(fill.begin);
  result.reservation = std::move(reservation);
  return result;
}

Result<Qcow1Image::EntryPlace> Qcow1Image::entry_to_change(GuestOffset at) {
  TRY(const HostOffset table, own_table(layout_.l1_index(at)));
  return entry_in(table, at);
}

Result<Placement> Qcow1Image::place(GuestRange want) {
  CHECK(file_->sound());
  CHECK(begin_writing());
  CHECK(throttle());
  TRY(EntryPlace place, entry_to_change(want.begin));
  const GuestRange clusters = want.widened_to(layout_.cluster());
  const Run first = run_in_page(clusters.first(layout_.cluster()), place);
  if (first.meaning.kind == Kind::Data) {  // an extent that was made a moment ago: its zeroes are what the guest sees
    auto reservation = std::make_unique<Reservation>(*this, std::move(place),
                                                     FreeSpace::Grant{{first.meaning.host, layout_.cluster()}});
    reservation->linked = true;
    return placement(clusters.first(layout_.cluster()), std::move(reservation));
  }
  const std::uint64_t most = std::min<std::uint64_t>(clusters.length / layout_.cluster(), place.entries_left);
  std::uint64_t wanted = 1;
  while (wanted < most && layout_.meaning(place.page.load(place.word + wanted)).kind != Kind::Data) ++wanted;
  TRY(const FreeSpace::Grant grant, free_space_.take_clusters(wanted));
  return placement(clusters.first(grant.range.length), std::make_unique<Reservation>(*this, std::move(place), grant));
}

// The streams of compressed clusters that are replaced stay where they are: nobody knows what else lies there.
Result<void> Qcow1Image::link(Placement placement) {
  auto& reservation = static_cast<Reservation&>(*placement.reservation);
  if (reservation.linked) return {};
  if (reservation.takes == Reservation::Takes::Stream) return link_stream(reservation);
  {
    auto edit = reservation.entries.page.edit(Step::Mention);
    bool safe_in_any_order = reservation.grant.durable && !encryption_;
    const HostRange clusters = reservation.grant.range;
    for (std::size_t nth = 0; nth < clusters.length / layout_.cluster(); ++nth) {
      const std::size_t word = reservation.entries.word + nth;
      safe_in_any_order = safe_in_any_order && reads_zero(edit.load(word));
      edit.store(word, (clusters.begin + layout_.cluster() * nth).value());
    }
    // Only where the guest saw zeroes, and the host shows zeroes until the data has arrived, does the order not matter.
    if (!safe_in_any_order) edit.needs_data_first();
  }
  reservation.linked = true;
  flusher_.note_change();
  return {};
}

}  // namespace flatimg::qcow1
