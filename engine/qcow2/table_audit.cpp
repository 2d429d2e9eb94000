#include "qcow2/table_audit.h"

#include <algorithm>

#include "base/checked.h"

namespace flatimg::qcow2 {

// Windows follow one another, pass by pass, where the file has more clusters than one of them.
Result<std::unique_ptr<Audit>> Qcow2Image::begin_audit() {
  if (!traits_.writable || mark_.declared() || audited_writes_ == host_writes_) return std::unique_ptr<Audit>();
  {
    const MutexLock lock(tables_mutex_);
    CHECK(noticed(protect_tables_once()));
  }
  const std::uint64_t clusters = free_space_.file_clusters();
  const ClusterRun window{audit_window_, std::min(SeenClusters::kMostClusters, clusters - audit_window_)};
  return std::make_unique<TableAudit>(*this, window);
}

Qcow2Image::TableAudit::TableAudit(Qcow2Image& image, ClusterRun window)
    : image_(image), window_(window), writes_before_(image.host_writes_), counted_to_(window.first) {
  image_.free_space_.begin_audit(window);
}

Qcow2Image::TableAudit::~TableAudit() { image_.free_space_.end_audit(); }

// From the next entry to the end of its page, or of the disk.
GuestRange Qcow2Image::TableAudit::rest_of_page() const {
  const ByteCount page = image_.layout_.cluster() * entries_in_page();
  const GuestOffset disk_end = GuestOffset(0) + image_.size();
  if (at_ >= disk_end) return {};
  return GuestRange::between(at_, std::min(align_down(at_, page) + page, disk_end));
}

std::uint64_t Qcow2Image::TableAudit::entries_in_page() const {
  return image_.l2_.page_size() / ByteCount(8 * image_.layout_.words_per_entry());
}

GuestRange Qcow2Image::TableAudit::next() const {
  if (phase_ == Phase::Done) return {};
  const GuestRange page = rest_of_page();
  if (phase_ == Phase::Entries && !page.empty()) return page;
  return {GuestOffset(0), image_.layout_.cluster()};  // anything that keeps a snapshot from being taken
}

Result<void> Qcow2Image::TableAudit::step() {
  ++image_.audited_pages_;
  const GuestRange page = rest_of_page();
  if (phase_ == Phase::Entries && !page.empty()) return image_.noticed(look_at_entries(page));
  phase_ = Phase::Counters;
  return count_leaks();
}

// --- entries --------------------------------------------------------------------------------------------------------

Result<void> Qcow2Image::TableAudit::look_at_entries(GuestRange page) {
  const std::uint64_t entries = ceil_divide(page.length.value(), image_.layout_.cluster().value());
  TRY(const Found found, look(entries));
  at_ += image_.layout_.cluster() * found.judged;
  if (found.aborted) phase_ = Phase::Done;
  if (found.no_table) skip_tables_that_are_not_there();
  if (found.contradiction.empty()) return {};
  TRY(const Found again, look(1));
  const bool confirmed = !again.contradiction.empty();
  return fail(confirmed ? ErrorKind::CorruptImage : ErrorKind::Io, "{}: guest byte {}{}: {}", image_.file_->name(),
              at_.value(), confirmed ? "" : " (not confirmed by a second look)", found.contradiction);
}

// The entries from at_ on, of its page.
Result<Qcow2Image::TableAudit::Found> Qcow2Image::TableAudit::look(std::uint64_t entries) {
  TRY(Found found, read_page());
  if (found.no_table) found.judged = entries;
  if (found.no_table || found.aborted || !found.contradiction.empty()) return found;
  return judge(entries);
}

// The L1 entry and the page, as they are at one moment: nobody changes an L1 entry meanwhile.
Result<Qcow2Image::TableAudit::Found> Qcow2Image::TableAudit::read_page() {
  Found found;
  const std::uint64_t index = image_.layout_.l1_index(at_);
  const MutexLock lock(image_.tables_mutex_);
  if ((image_.l1_.load(index) & kOffsetMask) == 0) {
    found.no_table = true;
    return found;
  }
  TRY(const auto table, image_.table_of(index));
  using By = FreeSpace::Mention::By;
  const FreeSpace::Mention mention{{image_.cluster_number(table->at), 1}, table->own, By::L1Table};
  TRY(const auto audited, image_.free_space_.audit({&mention, 1}, counters_));
  found.aborted = audited.aborted;
  if (!audited.contradiction.empty()) found.contradiction = "its L2 table is " + audited.contradiction;
  if (found.contradiction.empty() && !found.aborted) CHECK(copy_page(table->at));
  return found;
}

// Not through the cache: a page that is not there equals the disk.
Result<void> Qcow2Image::TableAudit::copy_page(HostOffset table) {
  const ByteCount page = image_.l2_.page_size();
  const std::uint64_t entry_bytes = 8 * image_.layout_.words_per_entry();
  const HostOffset at = align_down(table + ByteCount(image_.layout_.l2_index(at_) * entry_bytes), page);
  words_.resize(page.value() / 8);
  if (const auto cached = image_.l2_.peek(at); cached.valid()) {
    for (std::size_t n = 0; n < words_.size(); ++n) words_[n] = cached.load(n);
    return {};
  }
  const auto bytes = memory_.at_least(page.value());
  CHECK(image_.file_->read(at, bytes));
  for (std::size_t n = 0; n < words_.size(); ++n) words_[n] = load_be<std::uint64_t>(bytes, n * 8);
  return {};
}

Entry Qcow2Image::TableAudit::entry(std::uint64_t nth) const {
  const std::uint64_t in_page = image_.layout_.l2_index(at_) % entries_in_page() + nth;
  const std::size_t word = in_page * image_.layout_.words_per_entry();
  return {words_.at(word), image_.layout_.extended() ? words_.at(word + 1) : 0};
}

// What an entry says by itself first, up to the first one that contradicts; then what the counters say.
Result<Qcow2Image::TableAudit::Found> Qcow2Image::TableAudit::judge(std::uint64_t entries) {
  Found found;
  std::vector<FreeSpace::Mention> mentions;
  std::vector<std::uint64_t> mentioned_by;
  for (; found.judged < entries && found.contradiction.empty(); ++found.judged) {
    const Entry one = entry(found.judged);
    if (one == Entry{}) continue;
    found.contradiction = contradiction_in(one);
    if (!found.contradiction.empty()) break;
    if (const auto mention = mention_of(one)) {
      mentions.push_back(*mention);
      mentioned_by.push_back(found.judged);
    }
  }
  return judge_mentions(std::move(found), mentions, mentioned_by);
}

// At most a few pages of counters are read from the disk in one step; what is left over is for the next one.
Result<Qcow2Image::TableAudit::Found> Qcow2Image::TableAudit::judge_mentions(
    Found found, std::span<const FreeSpace::Mention> mentions, std::span<const std::uint64_t> entries) {
  constexpr unsigned kMostReads = 16;
  std::size_t done = 0;
  for (unsigned reads = 0; done < mentions.size(); reads += counters_.reads()) {
    if (reads >= kMostReads) return Found{.judged = entries[done]};
    TRY(const auto audited, image_.free_space_.audit(mentions.subspan(done), counters_));
    if (audited.aborted) return Found{.aborted = true};
    done += audited.judged;
    if (!audited.contradiction.empty()) {
      return Found{.judged = entries[done], .contradiction = "its L2 entry names " + audited.contradiction};
    }
  }
  return found;
}

std::string Qcow2Image::TableAudit::contradiction_in(Entry entry) const {
  const Layout& layout = image_.layout_;
  const bool compressed = Layout::is_compressed(entry);
  if (compressed && (entry.word & kCopied) != 0) return "an L2 entry of compressed data has the COPIED flag";
  if (!compressed && (entry.word & kL2Reserved) != 0) return "an L2 entry has reserved bits set";
  for (unsigned sub = 0; sub < layout.subclusters(); ++sub) {
    if (const auto meaning = layout.meaning(entry, sub); !meaning) return meaning.error().text;
  }
  if (image_.data_file_) return {};
  const std::uint64_t host = compressed ? layout.compressed_range(entry).at.value() : entry.word & kOffsetMask;
  if (!compressed && host % layout.cluster().value() != 0) return "an L2 entry names no beginning of a cluster";
  if (image_.cluster_number(HostOffset(host)) < image_.free_space_.file_clusters()) return {};
  return fmt::format("an L2 entry names byte {}, behind the end of the file", host);
}

std::optional<FreeSpace::Mention> Qcow2Image::TableAudit::mention_of(Entry entry) const {
  const auto run = image_.clusters_of(entry);
  if (!run) return std::nullopt;
  return FreeSpace::Mention{*run, (entry.word & kCopied) != 0, FreeSpace::Mention::By::L2Table};
}

// A large disk may have many L1 entries that are empty.
void Qcow2Image::TableAudit::skip_tables_that_are_not_there() {
  constexpr std::uint64_t kMostAtOnce = 1u << 16;
  std::uint64_t index = image_.layout_.l1_index(at_ - 1_B) + 1;
  const std::uint64_t end = std::min<std::uint64_t>(index + kMostAtOnce, image_.l1_.size());
  while (index < end && (image_.l1_.load(index) & kOffsetMask) == 0) ++index;
  const GuestOffset disk_end = GuestOffset(0) + image_.size();
  at_ = index > disk_end / image_.layout_.span() ? disk_end : GuestOffset(0) + image_.layout_.span() * index;
}

// --- the end of a pass ----------------------------------------------------------------------------------------------

// Only where every mention of every cluster has been seen.
bool Qcow2Image::TableAudit::may_count_leaks() const {
  const bool bitmaps = (image_.header_.autoclear & autoclear::kBitmaps) != 0;
  return image_.header_.snapshots == 0 && !bitmaps && window_.first == 0 &&
         image_.free_space_.file_clusters() <= SeenClusters::kMostClusters;
}

Result<void> Qcow2Image::TableAudit::count_leaks() {
  if (may_count_leaks() && counted_to_ < window_.end()) {
    TRY(const auto counted, image_.free_space_.count_leaks(counted_to_, counters_));
    counted_to_ = counted.next;
    leaks_ += counted.leaks;
    if (counted.aborted) phase_ = Phase::Done;
    return {};
  }
  finish();
  return {};
}

// All windows are looked at before an image in which nothing changes is left alone.
void Qcow2Image::TableAudit::finish() {
  phase_ = Phase::Done;
  const std::uint64_t next_window = window_.first + SeenClusters::kMostClusters;
  const bool was_last = next_window >= image_.free_space_.file_clusters();
  image_.audit_window_ = was_last ? 0 : next_window;
  if (was_last) image_.audited_writes_ = writes_before_;
  image_.leaks_seen_ = leaks_;
  ++image_.audits_;
}

}  // namespace flatimg::qcow2
