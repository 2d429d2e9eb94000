// Qcow2Image: making whole units read as zeroes (sheet section 12).
//
//   old entry                | Space::Release                  | Space::Keep
//   -------------------------+---------------------------------+------------------------------------
//   unallocated, none below  | unchanged                       | unchanged
//   unallocated, below       | zero flag (version 2: not here) | the same
//   host cluster of its own  | zero flag, cluster released     | zero flag, cluster stays reserved
//   shared or compressed     | zero flag, reference dropped    | the same
//
// Version 2 without a backing file: the entry becomes 0. With an external data file the offset always stays. A raw data
// file must be right by itself, so its bytes become zero first. Not those of an encrypted image: zeroes of the host are
// no zeroes of the guest, so the file is never right by itself, and bytes that are zero before the entry says so would
// be neither old nor new.
#include <algorithm>

#include "base/checked.h"
#include "qcow2/qcow2_image.h"

namespace flatimg::qcow2 {

Result<GuestRange> Qcow2Image::zero_units(GuestRange whole, Space space) {
  CHECK(file_->sound());
  CHECK(begin_writing());
  GuestOffset done = whole.begin;
  while (done < whole.end()) {
    const GuestRange left = GuestRange::between(done, whole.end());
    TRY(const auto table, table_of(layout_.l1_index(done)));
    if (!table && below_ == nullptr) {
      done = unallocated_span(left).end();
      continue;
    }
    if (!layout_.can_mark_zero() && below_ != nullptr) break;
    CHECK(throttle());
    TRY(const GuestRange part, zero_in_table(left, space));
    if (part.empty()) break;
    done = part.end();
  }
  return GuestRange::between(whole.begin, done);
}

// What the entry becomes when `part` of its cluster is zeroed; nullopt when the entry cannot say it.
std::optional<Entry> Qcow2Image::zeroed_entry(Entry old, GuestRange part, Space space) const {
  // What lies behind the end of the disk does not count.
  const GuestRange cluster = cluster_at(part.begin);
  const bool whole = part.begin == cluster.begin && part.end() >= std::min(cluster.end(), GuestOffset(0) + size());
  const bool has_host =
      !Layout::is_compressed(old) && ((old.word & kOffsetMask) != 0 || (data_file_ && (old.word & kCopied) != 0));
  const bool own = has_host && (old.word & kCopied) != 0;
  const bool keep_host = own && (space == Space::Keep || data_file_);
  const HostOffset host(old.word & kOffsetMask);
  if (whole) {
    if (below_ == nullptr && !has_host && !Layout::is_compressed(old) && !data_file_) return old;
    if (!layout_.can_mark_zero()) return keep_host ? std::nullopt : std::optional(Entry{});
    return layout_.zero_entry(keep_host ? std::optional(host) : std::nullopt);
  }
  if (Layout::is_compressed(old)) return std::nullopt;
  std::uint64_t zeroed = 0;
  for (GuestOffset at = part.begin; at < part.end(); at += layout_.granule()) {
    zeroed |= std::uint64_t{1} << layout_.subcluster(at);
  }
  Entry entry{old.word, (old.bitmap & ~zeroed) | zeroed << kSubclusters};
  if (has_host && !keep_host && (entry.bitmap & kAllAllocatedBitmap) == 0) entry.word = 0;
  return entry;
}

Result<GuestRange> Qcow2Image::zero_in_table(GuestRange whole, Space space) {
  TRY(const HostOffset table, own_table(layout_.l1_index(whole.begin)));
  TRY(EntryPlace place, entry_in({table, true}, whole.begin));
  const GuestOffset page_end = align_down(whole.begin, layout_.cluster()) + layout_.cluster() * place.entries_left;
  const GuestRange in_page = whole.first(page_end - whole.begin);

  const std::uint64_t entries =
      ceil_divide((in_page.end() - align_down(in_page.begin, layout_.cluster())).value(), layout_.cluster().value());
  for (std::size_t nth = 0; nth < entries; ++nth) CHECK(check_replaceable(load_entry(place, nth)));
  if (data_file_ && !encryption_) CHECK(data_file_->zero({HostOffset(in_page.begin.value()), in_page.length}, space));

  std::vector<Entry> replaced;
  replaced.reserve(entries);  // nothing may fail between the first entry and the last
  GuestOffset done = in_page.begin;
  {
    std::optional<TableCache::Edit> edit;
    for (std::size_t nth = 0; done < in_page.end(); ++nth) {
      const GuestRange part = intersection(in_page, {align_down(done, layout_.cluster()), layout_.cluster()});
      const Entry old = load_entry(place, nth);
      const auto fresh = zeroed_entry(old, part, space);
      if (!fresh) break;
      done = part.end();
      if (*fresh == old) continue;
      if (!edit) edit.emplace(place.page.edit(Step::Mention));
      const std::size_t word = place.word + nth * layout_.words_per_entry();
      edit->store(word, fresh->word);
      if (layout_.extended()) edit->store(word + 1, fresh->bitmap);
      if ((fresh->word & kOffsetMask) == 0) replaced.push_back(old);
    }
  }
  if (done > in_page.begin) flusher_.note_change();
  for (const Entry& old : replaced) release_old(old);
  return GuestRange::between(in_page.begin, done);
}

}  // namespace flatimg::qcow2
