#include "qcow2/table_switch.h"

#include <algorithm>

#include "base/checked.h"

namespace flatimg::qcow2 {

Result<std::unique_ptr<Qcow2Image::TableSwitch>> Qcow2Image::TableSwitch::prepare(Qcow2Image& image, const Need& need) {
  std::unique_ptr<TableSwitch> work(new TableSwitch(image, need));
  CHECK(work->settle());
  CHECK(work->reserve());
  CHECK(work->settle());
  CHECK(work->copy_refcounts());
  return work;
}

Qcow2Image::TableSwitch::~TableSwitch() {
  FreeSpace& space = image_.free_space_;
  for (const auto& grant : l2_space_) space.give_back(grant);
  if (committed_) return;
  for (const HostOffset at : l2_written_) space.give_back({{image_.cluster_number(at), 1}, false});
  if (l1_space_.run.count > 0) space.give_back(l1_space_);
  if (snapshot_space_.run.count > 0) space.give_back(snapshot_space_);
  if (copy_place_.table.run.count > 0) space.give_back(copy_place_.table);
  for (const auto& grant : copy_place_.blocks) space.give_back(grant);
}

// Until nothing waits: each round releases what the one before has unlinked.
Result<void> Qcow2Image::TableSwitch::settle() {
  constexpr unsigned kMostRounds = 8;
  CHECK(image_.flusher_.flush());
  for (unsigned round = 0; round < kMostRounds && !image_.clean(); ++round) CHECK(image_.flusher_.flush());
  if (image_.clean()) return {};
  return fail(ErrorKind::Busy, "{}: its tables do not come to rest", image_.file_->name());
}

Result<void> Qcow2Image::TableSwitch::reserve() {
  FreeSpace& space = image_.free_space_;
  for (std::uint64_t taken = 0; taken < need_.l2_tables; taken += l2_space_.back().run.count) {
    TRY(const FreeSpace::Grant grant, space.take(need_.l2_tables - taken));
    l2_space_.push_back(grant);
  }
  const std::uint64_t l1_clusters = std::max<std::uint64_t>(1, image_.clusters_for_words(need_.l1_words));
  TRY(l1_space_, space.take_run(l1_clusters));
  if (!need_.snapshot_table.is_zero()) {
    const std::uint64_t clusters = ceil_divide(need_.snapshot_table.value(), image_.layout_.cluster().value());
    TRY(snapshot_space_, space.take_run(clusters));
  }
  TRY(copy_place_, space.take_copy_place());
  return {};
}

Result<void> Qcow2Image::TableSwitch::copy_refcounts() {
  const ByteCount cache(image_.options_.cache_size.value() / 16);
  const std::vector<ClusterRun> old = image_.free_space_.refcount_clusters();
  TRY(counts_, image_.free_space_.copy_refcounts(copy_place_, image_.header_, cache));
  for (const ClusterRun& run : old) CHECK(count(run, Refcounts::Change::Lower));
  return {};
}

// --- L2 tables ------------------------------------------------------------------------------------------------------

Result<void> Qcow2Image::TableSwitch::read_table(std::uint64_t l1_word) {
  table_at_ = HostOffset(l1_word & kOffsetMask);
  if (!image_.names_table(l1_word)) {
    return fail(ErrorKind::CorruptImage, "{}: L1 entry {:#018x} does not point to a cluster of the file",
                image_.file_->name(), l1_word);
  }
  table_.resize(image_.layout_.cluster().value());
  return image_.file_->read(table_at_, table_);
}

// Writes the table at hand to a new place; returns the L1 word for it.
Result<std::uint64_t> Qcow2Image::TableSwitch::write_table() {
  assert(!l2_space_.empty());
  FreeSpace::Grant& first = l2_space_.back();
  const HostOffset place = image_.host_at(first.run.first);
  image_.l2_.forget({place, image_.layout_.cluster()});  // from a former life as a table
  CHECK(image_.file_->write(place, std::span<const std::byte>(table_)));
  first.run = {first.run.first + 1, first.run.count - 1};
  if (first.run.count == 0) l2_space_.pop_back();
  l2_written_.push_back(place);
  return place.value() | kCopied;
}

Entry Qcow2Image::TableSwitch::entry(std::size_t nth) const {
  const std::size_t at = nth * image_.layout_.words_per_entry() * sizeof(std::uint64_t);
  Entry entry{load_be<std::uint64_t>(std::span(table_), at), 0};
  if (image_.layout_.extended()) entry.bitmap = load_be<std::uint64_t>(std::span(table_), at + sizeof(std::uint64_t));
  return entry;
}

void Qcow2Image::TableSwitch::mark(std::size_t nth, std::uint64_t word) {
  store_be(std::span(table_), nth * image_.layout_.words_per_entry() * sizeof(std::uint64_t), word);
}

bool Qcow2Image::TableSwitch::names_cluster(Entry entry) const {
  return !Layout::is_compressed(entry) && (entry.word & kOffsetMask) != 0;
}

// Neighbours are counted together. A compressed cluster may share its host cluster with the one in front.
Result<void> Qcow2Image::TableSwitch::count_entries(Refcounts::Change change) {
  constexpr std::uint64_t kMostAtOnce = 1u << 12;
  ClusterRun open;
  for (std::size_t nth = 0; nth < image_.layout_.entries_per_table(); ++nth) {
    const Entry found = entry(nth);
    const auto run = image_.clusters_of(found);
    if (!run) continue;
    CHECK(image_.check_replaceable(found));
    if (open.count > 0 && open.end() == run->first && open.count + run->count <= kMostAtOnce) {
      open.count += run->count;
      continue;
    }
    CHECK(count(std::exchange(open, *run), change));
  }
  return count(open, change);
}

Result<void> Qcow2Image::TableSwitch::count(ClusterRun run, Refcounts::Change change) {
  if (run.count == 0) return {};
  TRY(const auto freed, counts_->change_used(run, change));
  keep_freed(freed);
  return counts_->dirty_pages() > counts_->dirty_limit() ? counts_->write_copy() : Result<void>();
}

// Beyond the limit they are found again when the image is opened the next time.
void Qcow2Image::TableSwitch::keep_freed(const std::vector<ClusterRun>& freed) {
  constexpr std::size_t kMostRuns = 1u << 20;
  for (const ClusterRun& run : freed) {
    if (!freed_.empty() && freed_.back().end() == run.first) {
      freed_.back().count += run.count;
    } else if (freed_.size() < kMostRuns) {
      freed_.push_back(run);
    }
  }
}

Result<void> Qcow2Image::TableSwitch::drop(ClusterRun table) { return count(table, Refcounts::Change::Lower); }

Result<void> Qcow2Image::TableSwitch::copy_tables(L1Words& words) {
  for (std::uint64_t& word : words) {
    if ((word & kOffsetMask) == 0) continue;
    CHECK(read_table(word));
    CHECK(count_entries(Refcounts::Change::Raise));
    for (std::size_t nth = 0; nth < image_.layout_.entries_per_table(); ++nth) {
      if (names_cluster(entry(nth))) mark(nth, entry(nth).word & ~kCopied);
    }
    TRY(word, write_table());
  }
  return {};
}

Result<void> Qcow2Image::TableSwitch::drop_tables(const L1Words& words) {
  for (const std::uint64_t word : words) {
    if ((word & kOffsetMask) == 0) continue;
    CHECK(read_table(word));
    CHECK(count_entries(Refcounts::Change::Lower));
    CHECK(drop({image_.cluster_number(table_at_), 1}));
  }
  return {};
}

// True when an entry of the table at hand has changed.
Result<bool> Qcow2Image::TableSwitch::renew_entries() {
  bool changed = false;
  for (std::size_t nth = 0; nth < image_.layout_.entries_per_table(); ++nth) {
    const Entry old = entry(nth);
    if (!names_cluster(old)) continue;
    CHECK(image_.check_replaceable(old));
    TRY(const std::uint64_t count, counts_->count_of(image_.cluster_number(HostOffset(old.word & kOffsetMask))));
    const std::uint64_t word = count == 1 ? old.word | kCopied : old.word & ~kCopied;
    if (word != old.word) mark(nth, word);
    changed |= word != old.word;
  }
  return changed;
}

Result<void> Qcow2Image::TableSwitch::renew_copied(L1Words& words) {
  for (std::uint64_t& word : words) {
    if ((word & kOffsetMask) == 0) continue;
    CHECK(read_table(word));
    const std::uint64_t cluster = image_.cluster_number(table_at_);
    TRY(const bool changed, renew_entries());
    if (changed) {
      CHECK(drop({cluster, 1}));
      TRY(word, write_table());
      continue;
    }
    TRY(const std::uint64_t count, counts_->count_of(cluster));
    word = count == 1 ? word | kCopied : word & ~kCopied;
  }
  return {};
}

// --- changing over --------------------------------------------------------------------------------------------------

Result<void> Qcow2Image::TableSwitch::write_snapshot_table(const Outcome& outcome) {
  if (snapshot_space_.run.count == 0) return {};
  std::vector<std::byte> padded = outcome.snapshot_table;
  padded.resize((image_.layout_.cluster() * snapshot_space_.run.count).value());
  return image_.file_->write(image_.host_at(snapshot_space_.run.first), std::span<const std::byte>(padded));
}

Result<void> Qcow2Image::TableSwitch::commit(const L1Words& words, const Outcome& outcome) {
  CHECK(image_.write_words(l1_space_.run, words));
  CHECK(write_snapshot_table(outcome));
  CHECK(counts_->write_copy());  // with a barrier behind all of it
  TRY(const HeaderCore from, HeaderCore::read(*image_.file_));
  HeaderCore to = from;
  to.set_size(outcome.size);
  to.set_l1(image_.host_at(l1_space_.run.first), static_cast<std::uint32_t>(words.size()));
  const ClusterRun refcounts = counts_->table_clusters();
  to.set_refcount_table(image_.host_at(refcounts.first), static_cast<std::uint32_t>(refcounts.count));
  if (snapshot_space_.run.count > 0) {
    to.set_snapshots(image_.host_at(snapshot_space_.run.first), outcome.snapshots);
  } else if (outcome.snapshots == 0) {
    to.set_snapshots(HostOffset(0), 0);
  }
  CHECK(image_.switch_header(from, to));
  committed_ = true;
  follow(words, outcome);
  return {};
}

// Memory follows the disk; nothing can fail here.
void Qcow2Image::TableSwitch::follow(const L1Words& words, const Outcome& outcome) {
  Header& header = image_.header_;
  FreeSpace& space = image_.free_space_;
  header.l1_table = image_.host_at(l1_space_.run.first);
  header.l1_entries = static_cast<std::uint32_t>(words.size());
  image_.l1_.replace(header.l1_table, words);
  image_.size_.store(outcome.size.value(), std::memory_order_release);
  header.size = outcome.size;
  header.snapshots = outcome.snapshots;
  if (snapshot_space_.run.count > 0) header.snapshot_table = image_.host_at(snapshot_space_.run.first);
  if (outcome.snapshots == 0) header.snapshot_table = HostOffset(0);
  space.adopt(*counts_, std::move(freed_));
  space.protect(l1_space_.run);
  space.protect(snapshot_space_.run);
  for (const HostOffset table : l2_written_) space.protect({image_.cluster_number(table), 1});
}

}  // namespace flatimg::qcow2
