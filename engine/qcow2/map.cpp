// Qcow2Image: guest range -> extent.
#include <algorithm>

#include "qcow2/qcow2_image.h"

namespace flatimg::qcow2 {

// Whether an L1 entry that is not empty points to a cluster of the file.
bool Qcow2Image::names_table(std::uint64_t l1_word) const {
  const HostOffset table(l1_word & kOffsetMask);
  return (l1_word & kL1Reserved) == 0 && (table % layout_.cluster()).is_zero() &&
         cluster_number(table) < free_space_.file_clusters();
}

Result<std::optional<Qcow2Image::TablePlace>> Qcow2Image::table_of(std::uint64_t l1_index) const {
  const std::uint64_t word = l1_.load(l1_index);
  const HostOffset table(word & kOffsetMask);
  if (table.value() == 0) return std::nullopt;
  if (!names_table(word)) {
    return fail(ErrorKind::CorruptImage, "{}: L1 entry {} ({:#018x}) does not point to a cluster of the file",
                file_->name(), l1_index, word);
  }
  return TablePlace{table, (word & kCopied) != 0};
}

Result<Qcow2Image::EntryPlace> Qcow2Image::entry_in(TablePlace table, GuestOffset at) {
  const std::size_t words = layout_.words_per_entry();
  const std::uint64_t first_byte = layout_.l2_index(at) * words * sizeof(std::uint64_t);
  const std::uint64_t in_page = first_byte % l2_.page_size().value();
  EntryPlace place;
  place.own = table.own;
  TRY(place.page, l2_.pin(table.at + ByteCount(first_byte - in_page)));
  place.word = in_page / sizeof(std::uint64_t);
  place.entries_left = (l2_.page_size().value() - in_page) / (words * sizeof(std::uint64_t));
  return place;
}

Entry Qcow2Image::load_entry(const EntryPlace& place, std::size_t nth) const {
  if (!layout_.extended()) return {place.page.load(place.word + nth), 0};
  return {place.page.load(place.word + nth * 2), place.page.load(place.word + nth * 2 + 1)};
}

HostOffset Qcow2Image::host_of(const Meaning& meaning, GuestOffset at) const {
  return meaning.host + at % layout_.cluster();
}

Result<Extent> Qcow2Image::map_to_overwrite(GuestRange want) {
  CHECK(begin_writing());
  return find_extent(want, Look::Overwrite);
}

Result<Extent> Qcow2Image::find_extent(GuestRange want, Look look) {
  TRY(const auto table, table_of(layout_.l1_index(want.begin)));
  if (!table) {
    const GuestRange where = unallocated_span(want);
    if (below_ == nullptr) return Extent{where, Zeroes{}};
    return Extent{where, Below{below_, where.begin}};
  }
  TRY(const EntryPlace place, entry_in(*table, want.begin));
  return map_in_page(want, place, look);
}

// The part of `want` in front of the next L2 table.
GuestRange Qcow2Image::unallocated_span(GuestRange want) const {
  GuestOffset end = want.begin;
  do {
    end = align_down(end, layout_.span()) + layout_.span();
  } while (end < want.end() && (l1_.load(layout_.l1_index(end)) & kOffsetMask) == 0);
  return want.first(end - want.begin);
}

// Joins granules for as long as they mean the same and lie one behind the other; reserved space need not, unless
// somebody wants to know where it is.
Result<Extent> Qcow2Image::map_in_page(GuestRange want, const EntryPlace& place, Look look) {
  const GuestRange in_page =
      want.first(align_down(want.begin, layout_.cluster()) + layout_.cluster() * place.entries_left - want.begin);
  std::optional<Meaning> first;
  GuestOffset end = in_page.begin;
  for (std::size_t nth = 0; end < in_page.end(); ++nth) {
    const Entry entry = load_entry(place, nth);
    for (unsigned sub = layout_.subcluster(end); sub < layout_.subclusters() && end < in_page.end(); ++sub) {
      TRY(Meaning meaning, layout_.meaning(entry, sub));
      meaning.copied &= place.own;
      if (!first) {
        first = meaning;
        if (meaning.kind == Kind::Compressed) {
          return Extent{intersection(in_page, cluster_at(end)), Encoded{entry.word, cluster_at(end)}};
        }
      } else if (meaning.kind != first->kind || meaning.copied != first->copied ||
                 meaning.has_host != first->has_host ||
                 ((meaning.kind == Kind::Data || (look == Look::Holes && meaning.has_host)) &&
                  host_of(meaning, end) != host_of(*first, in_page.begin) + (end - in_page.begin))) {
        return data_extent({GuestRange::between(in_page.begin, end), {}}, *first, look);
      }
      end = std::min(in_page.end(), align_down(end, layout_.granule()) + layout_.granule());
    }
  }
  return data_extent({in_page, {}}, *first, look);
}

Result<Extent> Qcow2Image::data_extent(Extent extent, Meaning meaning, Look look) {
  switch (meaning.kind) {
    case Kind::Zero:
      extent.source = Zeroes{true, meaning.has_host, host_of(meaning, extent.where.begin)};
      return extent;
    case Kind::Unallocated:
      if (below_ != nullptr) {
        extent.source = Below{below_, extent.where.begin};
      } else {
        extent.source = Zeroes{false, meaning.has_host, host_of(meaning, extent.where.begin)};
      }
      return extent;
    case Kind::Compressed:
    case Kind::Data:
      break;
  }
  const HostOffset at = host_of(meaning, extent.where.begin);
  const Enciphered cipher = encryption_ ? encryption_->at(at, extent.where.begin) : Enciphered{};
  if (data_file_) {
    extent.source = InFile{data_file_.get(), at, traits_.writable && meaning.copied, cipher};
    return extent;
  }
  const std::uint64_t first = cluster_number(at);
  const std::uint64_t file_end = free_space_.file_clusters();
  if (first >= file_end) {
    return fail(ErrorKind::CorruptImage, "{}: guest byte {} is stored at byte {}, behind the end of the file",
                file_->name(), extent.where.begin.value(), at.value());
  }
  extent.where = extent.where.first(HostOffset(layout_.cluster().value() * file_end) - at);
  const ClusterRun run{first, cluster_number(at + extent.where.length - 1_B) - first + 1};
  if (look == Look::Overwrite && meaning.copied && !free_space_.may_hold_data(run)) {
    return fail(ErrorKind::CorruptImage, "{}: guest byte {} is stored in host cluster {}, which holds a table",
                file_->name(), extent.where.begin.value(), first);
  }
  extent.source = InFile{file_.get(), at, traits_.writable && meaning.copied, cipher};
  return extent;
}

GuestRange Qcow2Image::cluster_at(GuestOffset at) const {
  return {align_down(at, layout_.cluster()), layout_.cluster()};
}

}  // namespace flatimg::qcow2
