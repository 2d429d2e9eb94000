// Qcow2Image: space for new data, and linking it.
//
// place() reserves host clusters (their counters are raised, O1) and keeps the page with their entries in memory, so
// that link() cannot fail. The caller writes the data between the two, so an entry never mentions bytes that were not
// handed to the host before (O2); write_back() puts the barrier between them where it is needed.
#include <algorithm>

#include "qcow2/reservation.h"

namespace flatimg::qcow2 {

// --- L2 tables ------------------------------------------------------------------------------------------------------

// The L2 table for an L1 entry, made or copied so that it is ours alone, with host space for all that may change in it.
Result<HostOffset> Qcow2Image::own_table(std::uint64_t l1_index) {
  TRY(const auto table, table_of(l1_index));
  if (table && table->own) {
    CHECK(free_space_.table_space().reserve({table->at, layout_.cluster()}));
    return table->at;
  }
  const MutexLock lock(tables_mutex_);
  TRY(const auto again, table_of(l1_index));
  if (again && again->own) return again->at;
  return make_table(l1_index);
}

// The new table is complete in the host's hands before L1 mentions it, and write_back() fences a changed L1 (O4).
Result<HostOffset> Qcow2Image::make_table(std::uint64_t l1_index) {
  TRY(const auto old, table_of(l1_index));
  CHECK(free_space_.table_space().reserve({l1_.at() + ByteCount(8) * l1_index, ByteCount(8)}));
  TRY(const FreeSpace::Grant grant, free_space_.take(1));
  const HostOffset fresh = HostOffset(0) + layout_.cluster() * grant.run.first;
  l2_.forget({fresh, layout_.cluster()});  // from a former life as a table
  if (auto filled = fill_table(fresh, old, grant); !filled) {
    free_space_.give_back(grant);
    return Failure(std::move(filled.error()));
  }
  free_space_.protect(grant.run);
  l1_.store(l1_index, fresh.value() | kCopied);
  flusher_.note_change();
  if (old) free_space_.release_later({cluster_number(old->at), 1});
  return fresh;
}

Result<void> Qcow2Image::fill_table(HostOffset fresh, std::optional<TablePlace> old, const FreeSpace::Grant& grant) {
  CHECK(free_space_.table_space().reserve_new({fresh, layout_.cluster()}));
  if (old) return copy_table(old->at, fresh);
  if (grant.reads_zero) return {};
  return file_->zero({fresh, layout_.cluster()}, Space::Keep);
}

Result<void> Qcow2Image::copy_table(HostOffset from, HostOffset to) {
  std::vector<TableCache::Pin> pages;
  std::vector<std::span<const std::byte>> parts;
  for (ByteCount done; done < layout_.cluster(); done += l2_.page_size()) {
    TRY(auto page, l2_.pin(from + done));
    parts.push_back(page.bytes());
    pages.push_back(std::move(page));
  }
  return file_->write(to, parts);
}

// --- place ----------------------------------------------------------------------------------------------------------

Result<Qcow2Image::EntryPlace> Qcow2Image::entry_to_change(GuestOffset at) {
  TRY(const HostOffset table, own_table(layout_.l1_index(at)));
  return entry_in({table, true}, at);
}

Result<Placement> Qcow2Image::place_data(GuestRange want) {
  CHECK(begin_writing());
  CHECK(throttle());
  TRY(EntryPlace place, entry_to_change(want.begin));
  const Entry entry = load_entry(place, 0);
  TRY(const Meaning meaning, layout_.meaning(entry, layout_.subcluster(want.begin)));
  CHECK(check_replaceable(entry));
  const GuestOffset page_end = align_down(want.begin, layout_.cluster()) + layout_.cluster() * place.entries_left;
  const GuestRange in_page = want.first(page_end - want.begin);
  if (meaning.kind != Kind::Data && meaning.has_host && meaning.copied)
    return place_reserved(in_page, std::move(place), meaning);
  return place_fresh(in_page, std::move(place));
}

Placement Qcow2Image::placement(GuestRange fill, std::unique_ptr<Reservation> reservation, HostOffset first_cluster) {
  Placement result;
  result.file = &data_holder();
  result.at = first_cluster + fill.begin % layout_.cluster();
  result.fill = fill;
  if (encryption_) result.cipher = encryption_->at(result.at, fill.begin);
  result.reservation = std::move(reservation);
  return result;
}

// The entry names a host cluster of its own already: a preallocated zero, or subclusters that were not allocated.
Result<Placement> Qcow2Image::place_reserved(GuestRange want, EntryPlace place, const Meaning& meaning) {
  GuestOffset end = want.begin;
  std::size_t clusters = 0;
  for (; end < want.end(); ++clusters) {
    TRY(const Meaning next, layout_.meaning(load_entry(place, clusters), layout_.subcluster(end)));
    const bool follows = next.has_host && next.copied && next.kind == meaning.kind &&
                         next.host == meaning.host + layout_.cluster() * clusters;
    if (clusters > 0 && !follows) break;
    CHECK(check_replaceable(load_entry(place, clusters)));
    end = align_down(end, layout_.cluster()) + layout_.cluster();
    if (layout_.extended()) {  // one cluster at a time: its subclusters may differ
      ++clusters;
      break;
    }
  }
  GuestRange fill = GuestRange::between(want.begin, std::min(end, want.end())).widened_to(layout_.granule());
  if (layout_.extended()) {  // up to the next subcluster that has data
    GuestOffset stop = fill.begin;
    while (stop < fill.end()) {
      TRY(const Meaning sub, layout_.meaning(load_entry(place, 0), layout_.subcluster(stop)));
      if (sub.kind != meaning.kind) break;
      stop += layout_.granule();
    }
    fill = GuestRange::between(fill.begin, stop);
  }
  auto reservation =
      std::make_unique<Reservation>(*this, std::move(place), Reservation::AlreadyInEntry{}, meaning.host);
  reservation->clusters = clusters;
  return placement(fill, std::move(reservation), meaning.host);
}

// True when the host data of the old entry has to move along as a whole (shared with a snapshot, or compressed).
bool Qcow2Image::must_carry_whole(Entry entry) const {
  if (!layout_.extended() || Layout::is_compressed(entry)) return true;
  return (entry.word & kOffsetMask) != 0;
}

Result<Placement> Qcow2Image::place_fresh(GuestRange want, EntryPlace place) {
  const GuestRange clusters = want.widened_to(layout_.cluster());
  // As many entries as need a cluster of their own, and with extended entries only those of one sort.
  const Entry first = load_entry(place, 0);
  std::uint64_t wanted = 1;
  for (; wanted < clusters.length / layout_.cluster(); ++wanted) {
    const Entry next = load_entry(place, wanted);
    TRY(const Meaning meaning, layout_.meaning(next, 0));
    if (meaning.has_host && meaning.copied) break;
    if (must_carry_whole(next) != must_carry_whole(first)) break;
    CHECK(check_replaceable(next));
  }
  FreeSpace::Grant grant;
  HostOffset host;
  if (data_file_) {  // the cluster of an external data file lies where the guest has it
    host = HostOffset(clusters.begin.value());
    grant.run.count = 0;
  } else {
    TRY(grant, free_space_.take(wanted));
    host = HostOffset(0) + layout_.cluster() * grant.run.first;
    wanted = grant.run.count;
  }
  GuestRange fill = clusters.first(layout_.cluster() * wanted);
  if (!must_carry_whole(first)) fill = intersection(fill, want.widened_to(layout_.granule()));
  auto reservation = std::make_unique<Reservation>(*this, std::move(place), Reservation::Fresh{grant}, host);
  reservation->clusters = wanted;
  Placement result = placement(fill, std::move(reservation), host);
  result.reads_zero = grant.reads_zero && !encryption_;  // zeroes of the host are noise when they are deciphered
  return result;
}

// --- link -----------------------------------------------------------------------------------------------------------

// Whether a part of a cluster reads as zeroes by its entry, whatever lies below.
bool Qcow2Image::reads_zero(Entry entry, GuestRange part) const {
  for (GuestOffset at = part.begin; at < part.end(); at += layout_.granule()) {
    const auto meaning = layout_.meaning(entry, layout_.subcluster(at));
    if (!meaning) return false;
    if (meaning->kind == Kind::Zero || (meaning->kind == Kind::Unallocated && below_ == nullptr)) continue;
    return false;
  }
  return true;
}

Entry Qcow2Image::linked_entry(Entry old, const Reservation& reservation, std::size_t nth, GuestRange fill) const {
  if (const auto stream = reservation.stream()) return layout_.compressed_entry(*stream);
  Entry fresh = layout_.data_entry(reservation.first_cluster + layout_.cluster() * nth);
  if (!layout_.extended()) return fresh;
  std::uint64_t filled = 0;
  for (GuestOffset at = fill.begin; at < fill.end(); at += layout_.granule()) {
    filled |= std::uint64_t{1} << layout_.subcluster(at);
  }
  fresh.bitmap = (old.bitmap | filled) & ~(filled << kSubclusters);
  return fresh;
}

// The host clusters that an entry refers to.
std::optional<ClusterRun> Qcow2Image::clusters_of(Entry entry) const {
  if (data_file_) return std::nullopt;
  if (Layout::is_compressed(entry)) {
    const CompressedRange range = layout_.compressed_range(entry);
    const std::uint64_t first = cluster_number(range.at);
    return ClusterRun{first, cluster_number(range.at + range.length - 1_B) - first + 1};
  }
  const HostOffset host(entry.word & kOffsetMask);
  if (host.value() == 0) return std::nullopt;
  return ClusterRun{cluster_number(host), 1};
}

// What an entry names is written to or released when the entry changes: that must be a cluster of the file, and no
// table.
Result<void> Qcow2Image::check_replaceable(Entry old) {
  const auto run = clusters_of(old);
  if (!run) return {};
  const bool aligned = Layout::is_compressed(old) || (old.word & kOffsetMask) % layout_.cluster().value() == 0;
  if (aligned && run->first < free_space_.file_clusters() && free_space_.may_hold_data(*run)) return {};
  return fail(ErrorKind::CorruptImage, "{}: L2 entry {:#018x} does not point to a data cluster of the file",
              file_->name(), old.word);
}

void Qcow2Image::release_old(Entry old) {
  if (const auto run = clusters_of(old)) free_space_.release_later(*run);
}

Result<void> Qcow2Image::link(Placement placement) {
  CHECK(mark_.allows_changes());  // somebody else may have met a contradiction since it was placed
  auto& reservation = static_cast<Reservation&>(*placement.reservation);
  const GuestOffset first_cluster = align_down(placement.fill.begin, layout_.cluster());
  std::vector<Entry> replaced;
  replaced.reserve(reservation.clusters);  // nothing may fail between the first entry and the last
  {
    auto edit = reservation.entries.page.edit(Step::Mention);
    bool safe_in_any_order = placement.reads_zero;
    for (std::size_t nth = 0; nth < reservation.clusters; ++nth) {
      const GuestRange fill =
          intersection(placement.fill, {first_cluster + layout_.cluster() * nth, layout_.cluster()});
      const Entry old = load_entry(reservation.entries, nth);
      const Entry fresh = linked_entry(old, reservation, nth, fill);
      const std::size_t word = reservation.entries.word + nth * layout_.words_per_entry();
      if (layout_.extended()) edit.store(word + 1, fresh.bitmap);
      edit.store(word, fresh.word);
      safe_in_any_order = safe_in_any_order && reads_zero(old, fill);
      if (reservation.replaces()) replaced.push_back(old);
    }
    // Only where the guest saw zeroes, and the host shows zeroes until the data has arrived, does the order not matter.
    if (!safe_in_any_order) edit.needs_data_first();
  }
  reservation.linked = true;
  flusher_.note_change();
  for (const Entry& old : replaced) release_old(old);  // behind the edit: begin_release() relies on it
  return {};
}

}  // namespace flatimg::qcow2
