// Qcow1Image: making whole units read as zeroes; an overlay whose contents have been committed.
//
// The format has no way to say "zero" in front of a backing file, and gives nothing back:
//
//   old entry    | nothing below                                  | an image below
//   -------------+------------------------------------------------+----------------------------------------
//   unallocated  | unchanged                                      | not here: the caller writes zeroes
//   compressed   | entry 0                                        | not here
//   data         | Release: entry 0, the cluster becomes a hole   | zeroes where the data is
//                | and is taken again; Keep: zeroes in its place  |
//
// Enciphered zeroes are no zeroes of the host: where the place stays, the caller writes them. An image in extents never
// loses an entry, because tapdisk would not look at it.
#include <algorithm>

#include "qcow1/qcow1_image.h"

namespace flatimg::qcow1 {

Result<GuestRange> Qcow1Image::zero(GuestRange whole, Space space) {
  CHECK(file_->sound());
  CHECK(begin_writing());
  GuestOffset done = whole.begin;
  while (done < whole.end()) {
    CHECK(throttle());
    TRY(const Run run, run_at(GuestRange::between(done, whole.end())));
    TRY(const auto zeroed, zero_run(run, space));
    if (!zeroed) break;
    done = zeroed->end();
  }
  return GuestRange::between(whole.begin, done);
}

// What lies behind the end of the disk does not count.
bool Qcow1Image::may_unlink(GuestRange where) const {
  const bool whole = (where.begin % layout_.cluster()).is_zero() &&
                     ((where.end() % layout_.cluster()).is_zero() || where.end() == GuestOffset(0) + size());
  return whole && below_ == nullptr && !extents_;
}

// How much of the run is zero now; nullopt when the format cannot say it.
Result<std::optional<GuestRange>> Qcow1Image::zero_run(const Run& run, Space space) {
  const bool unlinkable = may_unlink(run.where);
  switch (run.meaning.kind) {
    case Kind::Unallocated:
      return below_ == nullptr ? std::optional(run.where) : std::nullopt;
    case Kind::Compressed:
      if (!unlinkable) return std::optional<GuestRange>();
      CHECK(unlink(run.where));
      return std::optional(run.where);
    case Kind::Data:
      break;
  }
  if (unlinkable && space == Space::Release) {
    CHECK(unlink(run.where));
    return std::optional(run.where);
  }
  TRY(const Extent extent, data_extent(run));
  if (encryption_) return std::optional<GuestRange>();
  CHECK(file_->zero({run.meaning.host, extent.where.length}, space_for(space)));
  return std::optional(extent.where);
}

// `clusters` begins with a whole one and lies in one page.
Result<void> Qcow1Image::unlink(GuestRange clusters) {
  TRY(const HostOffset table, own_table(layout_.l1_index(clusters.begin)));
  TRY(EntryPlace place, entry_in(table, clusters.begin));
  std::vector<HostRange> released;
  {
    const GuestRange whole = clusters.widened_to(layout_.cluster());
    released.reserve(whole.length / layout_.cluster());  // nothing may fail between the first entry and the last
    auto edit = place.page.edit(Step::Mention);
    for (std::size_t nth = 0; nth < whole.length / layout_.cluster(); ++nth) {
      const Meaning old = layout_.meaning(edit.load(place.word + nth));
      edit.store(place.word + nth, 0);
      if (old.kind == Kind::Data && (old.host % layout_.cluster()).is_zero()) released.push_back(old.range());
    }
  }
  flusher_.note_change();
  for (const HostRange& range : released) free_space_.release_later(range);  // behind the edit: begin_release() relies
  return {};
}

// L1 entries become 0. The tables and what they mention stay where they are, as nothing counts them: the space is lost.
// A crash leaves some of them, and those show what the image below shows as well.
Result<void> Qcow1Image::empty() {
  CHECK(file_->sound());
  CHECK(begin_writing());
  CHECK(flusher_.flush());  // no table that goes has edits left to write
  const MutexLock lock(tables_mutex_);
  if (extents_) CHECK(leave_extents());
  for (std::uint64_t index = 0; index < l1_.size(); ++index) {
    if (l1_.load(index) == 0) continue;
    l1_.store(index, 0);
    reserved_tables_[index] = false;
  }
  tables_ = 0;
  flusher_.note_change();
  return {};
}

}  // namespace flatimg::qcow1
