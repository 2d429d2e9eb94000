// Qcow2Image: another size of the virtual disk. The whole disk is held in Change.
//
//   larger:   make_room()  a longer L1 table is complete on disk, the header switches to it, the old one is released
//             (the view makes what lies beyond the old end read as zeroes)
//             resize()     all of that is on disk, then the header says the new size
//   smaller:  resize()     the header says the new size, then what lies beyond is taken out of the tables and released
//
// A crash in between leaves the old or the new size. What a smaller disk has not released yet stays mapped behind its
// end, where nobody sees it; a disk that grows again zeroes it first.
#include "base/checked.h"
#include "base/limits.h"
#include "base/log.h"
#include "qcow2/header_core.h"
#include "qcow2/qcow2_image.h"

namespace flatimg::qcow2 {

namespace {

constexpr ByteCount kSector{512};

}  // namespace

Result<void> Qcow2Image::check_new_size(ByteCount size) const {
  if (!traits_.writable) return fail(ErrorKind::Denied, "{}: the image is read-only", file_->name());
  if (header_.version < 3 && header_.snapshots > 0) {
    return fail(ErrorKind::Unsupported,
                "{}: an image of version 2 with snapshots cannot be resized: they do not say how large their disk is",
                file_->name());
  }
  if (size > limits::kDisk || ByteCount(8) * layout_.l1_entries_for(size) > limits::kQcow2L1Table) {
    return fail(ErrorKind::Limit, "{}: a disk of {} bytes is too large for clusters of {} bytes", file_->name(),
                size.value(), layout_.cluster().value());
  }
  return {};
}

Result<void> Qcow2Image::lengthen_l1(ByteCount size) {
  CHECK(check_new_size(size));
  CHECK(begin_writing());
  const std::uint64_t entries = layout_.l1_entries_for(size);
  if (entries <= l1_.size()) return {};
  std::vector<std::uint64_t> words = l1_.words();
  words.resize(entries);
  CHECK(flusher_.flush());  // the table in the file is the one in memory now
  return move_l1(words);
}

// Counters and content of the new table are on disk before the header switches (O1, O4).
Result<void> Qcow2Image::move_l1(const std::vector<std::uint64_t>& words) {
  TRY(const FreeSpace::Grant grant, free_space_.take_run(clusters_for_words(words.size())));
  auto moved = write_words(grant.run, words);
  if (moved) moved = flusher_.flush();
  if (moved) moved = switch_l1(grant.run, words);
  if (!moved) free_space_.give_back(grant);
  return moved;
}

Result<void> Qcow2Image::switch_l1(ClusterRun place, const std::vector<std::uint64_t>& words) {
  const HostOffset at = host_at(place.first);
  const auto entries = static_cast<std::uint32_t>(words.size());
  TRY(const HeaderCore from, HeaderCore::read(*file_));
  HeaderCore to = from;
  to.set_l1(at, entries);
  CHECK(switch_header(from, to));
  const ClusterRun old{cluster_number(header_.l1_table), clusters_for_words(header_.l1_entries)};
  free_space_.protect(place);
  if (old.count > 0) free_space_.release_later(old);
  l1_.replace(at, words);
  header_.l1_table = at;
  header_.l1_entries = entries;
  flusher_.note_change();
  return {};
}

std::uint64_t Qcow2Image::clusters_for_words(std::uint64_t words) const {
  return ceil_divide(words * sizeof(std::uint64_t), layout_.cluster().value());
}

// The whole of the clusters is written, because they may have held something else.
Result<void> Qcow2Image::write_words(ClusterRun place, const std::vector<std::uint64_t>& words) {
  constexpr std::uint64_t kPiece = 1u << 17;  // words, 1 MiB
  const std::uint64_t end = layout_.cluster().value() * place.count / sizeof(std::uint64_t);
  std::vector<std::byte> piece;
  for (std::uint64_t first = 0; first < end; first += kPiece) {
    piece.assign(std::min(kPiece, end - first) * sizeof(std::uint64_t), std::byte{0});
    for (std::uint64_t n = 0; n < kPiece && first + n < words.size(); ++n) {
      store_be(std::span(piece), n * sizeof(std::uint64_t), words[first + n]);
    }
    const HostOffset at = host_at(place.first) + ByteCount(first * sizeof(std::uint64_t));
    CHECK(file_->write(at, std::span<const std::byte>(piece)));
  }
  return {};
}

Result<void> Qcow2Image::change_size(ByteCount size) {
  CHECK(check_new_size(size));
  CHECK(begin_writing());
  size = align_up(size, kSector);
  const ByteCount old = this->size();
  if (size > old && data_file_) CHECK(resize_data_file(size));
  CHECK(flusher_.flush());
  TRY(const HeaderCore from, HeaderCore::read(*file_));
  HeaderCore to = from;
  to.set_size(size);
  CHECK(switch_header(from, to));
  header_.size = size;
  size_.store(size.value(), std::memory_order_release);
  if (size < old) release_beyond_end();
  return {};
}

Result<void> Qcow2Image::resize_data_file(ByteCount size) {
  TRY(const ByteCount now, data_file_->size());
  if (!data_file_->is_block_device()) return now == size ? Result<void>() : data_file_->resize(size);
  if (now >= size) return {};
  return fail(ErrorKind::NoSpace, "{}: the device is smaller than {} bytes", data_file_->name(), size.value());
}

// The disk has its new size already, so what goes wrong here costs space and nothing else.
void Qcow2Image::release_beyond_end() {
  Result<void> released = clear_last_table();
  const std::uint64_t first = layout_.l1_entries_for(size());
  for (std::uint64_t index = first; released && index < l1_.size(); ++index) {
    released = throttle();
    if (released) released = drop_table(index);
  }
  if (released && data_file_ && !data_file_->is_block_device()) released = data_file_->resize(size());
  if (released) return;
  notice(released.error());
  log(LogLevel::Warning, "giving back what lies behind the new end: {}", released.error().text);
}

// The L2 table in which the disk ends: the entries behind the end.
Result<void> Qcow2Image::clear_last_table() {
  const GuestOffset end = GuestOffset(0) + size();
  const GuestOffset first = align_up(end, layout_.cluster());
  if (layout_.l2_index(first) == 0) return {};  // the disk ends with a table
  TRY(auto table, table_of(layout_.l1_index(first)));
  if (!table) return {};
  for (std::uint64_t index = layout_.l2_index(first); index < layout_.entries_per_table();) {
    const GuestOffset at = align_down(first, layout_.span()) + layout_.cluster() * index;
    TRY(EntryPlace place, entry_in(*table, at));
    index += place.entries_left;
    if (!holds_entries(place)) continue;
    TRY(const HostOffset own, own_table(layout_.l1_index(first)));
    table = TablePlace{own, true};
    TRY(place, entry_in(*table, at));
    clear_entries(place);
  }
  return {};
}

bool Qcow2Image::holds_entries(const EntryPlace& place) const {
  for (std::size_t nth = 0; nth < place.entries_left; ++nth) {
    if (load_entry(place, nth) != Entry{}) return true;
  }
  return false;
}

void Qcow2Image::clear_entries(EntryPlace& place) {
  std::vector<Entry> old(place.entries_left);
  {
    auto edit = place.page.edit(Step::Mention);
    for (std::size_t nth = 0; nth < place.entries_left; ++nth) {
      old[nth] = load_entry(place, nth);
      const std::size_t word = place.word + nth * layout_.words_per_entry();
      edit.store(word, 0);
      if (layout_.extended()) edit.store(word + 1, 0);
    }
  }
  for (const Entry& entry : old) release_if_sound(entry);
  flusher_.note_change();
}

// A whole L2 table with what it names. The L1 entry goes first: what is released waits for a flush that writes it (O3).
Result<void> Qcow2Image::drop_table(std::uint64_t l1_index) {
  TRY(const auto table, table_of(l1_index));
  if (!table) return {};
  CHECK(free_space_.table_space().reserve({l1_.at() + ByteCount(8) * l1_index, ByteCount(8)}));
  l1_.store(l1_index, 0);
  flusher_.note_change();
  const GuestOffset begin = GuestOffset(0) + layout_.span() * l1_index;
  for (std::uint64_t index = 0; index < layout_.entries_per_table();) {
    TRY(const EntryPlace place, entry_in(*table, begin + layout_.cluster() * index));
    for (std::size_t nth = 0; nth < place.entries_left; ++nth) release_if_sound(load_entry(place, nth));
    index += place.entries_left;
  }
  free_space_.release_later({cluster_number(table->at), 1});
  return {};
}

void Qcow2Image::release_if_sound(Entry entry) {
  const auto sound = check_replaceable(entry);
  if (sound) return release_old(entry);
  notice(sound.error());
}

}  // namespace flatimg::qcow2
