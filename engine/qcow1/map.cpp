// Qcow1Image: guest range -> extent.
#include <algorithm>

#include "base/text.h"
#include "qcow1/qcow1_image.h"

namespace flatimg::qcow1 {

std::optional<HostOffset> Qcow1Image::table_of(std::uint64_t l1_index) const {
  const std::uint64_t word = l1_.load(l1_index);
  return word == 0 ? std::nullopt : std::optional(HostOffset(word));
}

Result<Qcow1Image::EntryPlace> Qcow1Image::entry_in(HostOffset table, GuestOffset at) {
  const std::uint64_t first_byte = layout_.l2_index(at) * sizeof(std::uint64_t);
  const std::uint64_t in_page = first_byte % l2_.page_size().value();
  EntryPlace place;
  TRY(place.page, l2_.pin(table + ByteCount(first_byte - in_page)));
  place.word = in_page / sizeof(std::uint64_t);
  place.entries_left = (l2_.page_size().value() - in_page) / sizeof(std::uint64_t);
  return place;
}

GuestRange Qcow1Image::cluster_at(GuestOffset at) const {
  return {align_down(at, layout_.cluster()), layout_.cluster()};
}

// The part of `want` in front of the next L2 table.
GuestRange Qcow1Image::without_table(GuestRange want) const {
  GuestOffset end = want.begin;
  do {
    end = align_down(end, layout_.span()) + layout_.span();
  } while (end < want.end() && l1_.load(layout_.l1_index(end)) == 0);
  return want.first(end - want.begin);
}

Qcow1Image::Run Qcow1Image::run_in_page(GuestRange want, const EntryPlace& place) const {
  const GuestRange in_page =
      want.first(cluster_at(want.begin).begin + layout_.cluster() * place.entries_left - want.begin);
  const std::uint64_t entry = place.page.load(place.word);
  Run run{in_page, layout_.meaning(entry), entry};
  if (run.meaning.kind == Kind::Compressed) {
    run.where = intersection(in_page, cluster_at(want.begin));
    return run;
  }
  GuestOffset end = cluster_at(want.begin).end();
  for (std::size_t nth = 1; end < in_page.end(); ++nth, end += layout_.cluster()) {
    const Meaning next = layout_.meaning(place.page.load(place.word + nth));
    if (next.kind != run.meaning.kind) break;
    if (next.kind == Kind::Data && next.host != run.meaning.host + layout_.cluster() * nth) break;
  }
  run.where = in_page.first(end - in_page.begin);
  run.meaning.host += want.begin % layout_.cluster();
  return run;
}

Result<Qcow1Image::Run> Qcow1Image::run_at(GuestRange want) {
  const auto table = table_of(layout_.l1_index(want.begin));
  if (!table) return Run{without_table(want), {}};
  TRY(const EntryPlace place, entry_in(*table, want.begin));
  return run_in_page(want, place);
}

Result<Extent> Qcow1Image::map(GuestRange want, Look look) {
  if (look == Look::Overwrite) CHECK(begin_writing());
  TRY(const Run run, run_at(want));
  switch (run.meaning.kind) {
    case Kind::Compressed:
      return Extent{run.where, Encoded{run.entry, cluster_at(run.where.begin)}};
    case Kind::Data:
      return data_extent(run);
    case Kind::Unallocated:
      break;
  }
  if (below_ == nullptr) return Extent{run.where, Zeroes{}};
  return Extent{run.where, Below{below_, run.where.begin}};
}

// What is cut off at the end of the file reads as zeroes there.
Result<Extent> Qcow1Image::data_extent(const Run& run) const {
  const HostOffset at = run.meaning.host;
  const HostOffset cluster = at - run.where.begin % layout_.cluster();
  if (!(cluster % kSector).is_zero() || cluster >= file_end()) {
    return fail(ErrorKind::CorruptImage,
                "{}: guest byte {} is stored at byte {}, which is not aligned or behind the end of the file: see "
                "flatimg check",
                shown(file_->name()), run.where.begin.value(), at.value());
  }
  const GuestRange in_file = run.where.first(align_up(file_end() - cluster, layout_.cluster()) - (at - cluster));
  const Enciphered cipher = encryption_ ? encryption_->at(run.where.begin) : Enciphered{};
  return Extent{in_file, InFile{file_.get(), at, traits_.writable, cipher}};
}

// --- compressed clusters --------------------------------------------------------------------------------------------

}  // namespace flatimg::qcow1
