// Qcow2Image: reading the tables and judging them, before anything is written; and what happens at the first write.
//
// Refused at open, for reading too: tables that do not lie in the file or lie on each other, and data beyond the end of
// the file as far as a bounded look shows it (a truncated image). Everything else that is wrong inside is an error
// where it is met.
#include <algorithm>
#include <array>

#include "base/checked.h"
#include "base/log.h"
#include "qcow2/header_fields.h"
#include "qcow2/qcow2_image.h"
#include "qcow2/rebuild.h"
#include "qcow2/snapshot_entry.h"

namespace flatimg::qcow2 {

namespace {

constexpr ByteCount kPage{4096};

// The shares of cache-size: most goes to L2 pages, a sixteenth to refcounts, a quarter to decoded clusters.
ByteCount refcount_share(ByteCount cache) { return ByteCount(cache.value() / 16); }
ByteCount decoded_share(ByteCount cache) { return ByteCount(cache.value() / 4); }
ByteCount kept_share(ByteCount cache) { return ByteCount(cache.value() / 16 * 3); }  // the rest is being decoded
ByteCount l2_share(ByteCount cache) { return cache - refcount_share(cache) - decoded_share(cache); }

}  // namespace

Result<Header> read_header_fields(HostFile& file) {
  TRY(const ByteCount size, file.size());
  std::array<std::byte, 512> sector{};
  CHECK(file.read(HostOffset(0), sector));
  auto area = header_area(std::span(sector).first(std::min<std::uint64_t>(sector.size(), size.value())));
  if (!area) return Failure(std::move(area.error()).within(file.name()));
  std::vector<std::byte> cluster(area->value());
  CHECK(file.read(HostOffset(0), cluster));
  auto header = parse_header_fields(cluster, size);
  if (!header) return Failure(std::move(header.error()).within(file.name()));
  return header;
}

Result<Header> read_header(HostFile& file, HeaderUse use) {
  TRY(Header header, read_header_fields(file));
  if (auto problems = judge_header(header, use); !problems.empty()) {
    return Failure(std::move(problems.front()).within(file.name()));
  }
  return header;
}

Qcow2Image::Qcow2Image(std::unique_ptr<HostFile> file, Header header, std::unique_ptr<HostFile> data_file, Image* below,
                       OpenOptions options)
    : file_(std::move(file)),
      data_file_(std::move(data_file)),
      below_(below),
      header_(std::move(header)),
      size_(header_.size.value()),
      layout_(header_),
      options_(options),
      l2_(*file_, std::min(kPage, header_.cluster()), l2_share(options.cache_size)),
      free_space_(*file_, header_, refcount_share(options.cache_size)),
      stream_space_(free_space_, header_.cluster()),
      blocks_(decoded_share(options.cache_size)),
      decoded_(kept_share(options.cache_size)),
      flusher_([this] { return write_back(); }, options.flush_interval) {
  traits_.format = "qcow2";
  traits_.unit = layout_.cluster();
  traits_.granule = layout_.granule();
  traits_.writable = options_.writable;
  traits_.has_below = below_ != nullptr;
}

Result<std::unique_ptr<Qcow2Image>> Qcow2Image::open(std::unique_ptr<HostFile> file, Header header,
                                                     std::unique_ptr<HostFile> data_file, Image* below,
                                                     OpenOptions options) {
  std::unique_ptr<const Encryption> encryption;
  if (header.crypt_method != 0) {
    encryption = Encryption::locked();
    if (options.content == Content::Needed) {
      TRY(encryption, Encryption::open(*file, header, options.passphrase));
    }
  }
  options.passphrase = nullptr;
  if (options.snapshot) {
    options.writable = false;
    TRY(header, header_of_snapshot(*file, std::move(header), *options.snapshot));
  }
  std::string read_only_reason;
  if (options.writable && header.has(incompatible::kCorrupt)) {
    read_only_reason = "it is marked corrupt: repair it with flatimg check -r all";
  } else if (options.writable && header.has(incompatible::kDirty)) {
    if (auto rebuilt = rebuild_refcounts(*file, header); !rebuilt) {
      if (rebuilt.error().kind != ErrorKind::CorruptImage) return Failure(std::move(rebuilt.error()));
      read_only_reason = std::move(rebuilt.error().text);
    }
  }
  options.writable &= read_only_reason.empty();
  std::unique_ptr<Qcow2Image> image(
      new Qcow2Image(std::move(file), std::move(header), std::move(data_file), below, options));
  image->traits_.read_only_reason = std::move(read_only_reason);
  image->traits_.enciphered = encryption != nullptr;
  image->encryption_ = std::move(encryption);
  CHECK(image->load());
  return image;
}

// The same image with the snapshot's L1 table and size. COPIED says nothing there, and nobody asks: nothing is written.
Result<Header> Qcow2Image::header_of_snapshot(HostFile& file, Header header, std::string_view id_or_name) {
  auto table = read_snapshot_table(file, header);
  if (!table) return Failure(std::move(table.error()).within(file.name()));
  TRY(const std::size_t nth, find_by_id_or_name(*table, id_or_name, file.name()));
  const Snapshot& snapshot = table->snapshots[nth];
  CHECK(check_snapshot_covers(file, header, snapshot));
  header.size = align_down(snapshot.disk_size, 512_B);
  header.l1_table = snapshot.l1_table;
  header.l1_entries = snapshot.l1_entries;
  return header;
}

Result<void> Qcow2Image::load() {
  CHECK(check_place("L1 table", {header_.l1_table, ByteCount(header_.l1_entries) * 8}));
  CHECK(check_place("refcount table",
                    {header_.refcount_table, ByteCount(header_.refcount_table_clusters) * header_.cluster().value()}));
  if (header_.crypto_header) CHECK(check_place("encryption header", *header_.crypto_header));
  CHECK(l1_.read(*file_, header_.l1_table, header_.l1_entries));
  CHECK(free_space_.open());
  CHECK(check_tables_apart());
  CHECK(check_data_lies_in_file());
  if (traits_.writable) flusher_.start();
  return {};
}

// A table needs room in the file, as far as whole clusters of it exist, and must leave the header alone.
Result<void> Qcow2Image::check_place(std::string_view what, HostRange range) const {
  TRY(const ByteCount size, file_->size());
  if (range.length.is_zero()) return {};
  if (range.begin.value() < header_.cluster().value()) {
    return fail(ErrorKind::InvalidImage, "{}: the {} would lie on the header", file_->name(), what);
  }
  if (range.end().value() > align_up(size, header_.cluster()).value()) {
    return fail(ErrorKind::InvalidImage, "{}: the {} lies behind the end of the file: the image is truncated",
                file_->name(), what);
  }
  return {};
}

// Every L2 table is a cluster of the file, and no two tables (header, L1, L2, refcounts, encryption header) lie on each
// other.
Result<void> Qcow2Image::check_tables_apart() {
  std::vector<std::uint64_t> clusters;
  for (std::uint64_t index = 0; index < l1_.size(); ++index) {
    auto table = table_of(index);
    if (!table) return Failure(std::move(table.error()));
    if (*table) clusters.push_back(cluster_number((*table)->at));
  }
  const ClusterRun l1 = clusters_of_words(header_.l1_table, header_.l1_entries);
  for (std::uint64_t cluster = l1.first; cluster < l1.end(); ++cluster) clusters.push_back(cluster);
  for (const ClusterRun& run : free_space_.refcount_clusters()) {
    for (std::uint64_t cluster = run.first; cluster < run.end(); ++cluster) clusters.push_back(cluster);
  }
  const ClusterRun crypto = crypto_header_clusters();
  for (std::uint64_t cluster = crypto.first; cluster < crypto.end(); ++cluster) clusters.push_back(cluster);
  clusters.push_back(0);
  std::sort(clusters.begin(), clusters.end());
  if (const auto twice = std::adjacent_find(clusters.begin(), clusters.end()); twice != clusters.end()) {
    return fail(ErrorKind::CorruptImage, "{}: two tables lie in host cluster {}: run flatimg check -r all",
                file_->name(), *twice);
  }
  return {};
}

ClusterRun Qcow2Image::crypto_header_clusters() const {
  if (!header_.crypto_header) return {};
  return {cluster_number(header_.crypto_header->begin),
          ceil_divide(header_.crypto_header->length.value(), layout_.cluster().value())};
}

// A bounded look at the L2 tables: an image that was cut off should be refused, not fail when it is read. Larger images
// are not looked at as a whole, because opening must be quick.
Result<void> Qcow2Image::check_data_lies_in_file() {
  constexpr ByteCount kMostTables{4u << 20};
  std::uint64_t tables_left = std::max<std::uint64_t>(1, kMostTables / layout_.cluster());
  for (std::uint64_t index = 0; index < l1_.size() && tables_left > 0; ++index) {
    TRY(const auto table, table_of(index));
    if (!table) continue;
    --tables_left;
    for (std::uint64_t entry = 0; entry < layout_.entries_per_table();) {
      const GuestOffset at = GuestOffset(0) + layout_.span() * index + layout_.cluster() * entry;
      if (at.value() >= size().value()) break;
      TRY(const EntryPlace place, entry_in(*table, at));
      for (std::size_t nth = 0; nth < place.entries_left; ++nth) {
        const Entry found = load_entry(place, nth);
        const bool compressed = Layout::is_compressed(found);
        const bool holds_data = layout_.extended() ? (found.bitmap & kAllAllocatedBitmap) != 0
                                                   : !layout_.can_mark_zero() || (found.word & kZeroFlag) == 0;
        if (!compressed && !holds_data) continue;
        const HostOffset host = compressed ? layout_.compressed_range(found).at : HostOffset(found.word & kOffsetMask);
        if (data_file_ == nullptr && cluster_number(host) >= free_space_.file_clusters()) {
          return fail(ErrorKind::InvalidImage,
                      "{}: guest byte {} is stored at byte {}, behind the end of the file: the image is truncated",
                      file_->name(), (at + layout_.cluster() * nth).value(), host.value());
        }
      }
      entry += place.entries_left;
    }
  }
  return {};
}

// --- the first write ------------------------------------------------------------------------------------------------

Result<void> Qcow2Image::begin_writing() {
  CHECK(mark_.allows_changes());
  CHECK(settle_header());
  if (writing_begun_.load(std::memory_order_acquire)) return {};
  const MutexLock lock(tables_mutex_);
  if (writing_begun_.load(std::memory_order_relaxed)) return {};
  CHECK(begin_writing_once());
  writing_begun_.store(true, std::memory_order_release);
  return {};
}

// Whoever writes without maintaining what an autoclear bit stands for clears the bit before the first change.
Result<void> Qcow2Image::begin_writing_once() {
  assert(traits_.writable);
  CHECK(protect_tables_once());
  const std::uint64_t kept = header_.autoclear & autoclear::kRawDataFile;
  if (header_.version < 3 || kept == header_.autoclear) return {};
  CHECK(write_autoclear(*file_, kept));
  CHECK(file_->barrier());
  header_.autoclear = kept;
  return {};
}

Result<void> Qcow2Image::protect_tables_once() {
  if (tables_protected_) return {};
  CHECK(protect_tables());
  tables_protected_ = true;
  return {};
}

Result<void> Qcow2Image::protect_tables() {
  free_space_.protect({0, 1});
  free_space_.protect(clusters_of_words(header_.l1_table, header_.l1_entries));
  free_space_.protect_refcounts();
  free_space_.protect(crypto_header_clusters());
  for (std::uint64_t index = 0; index < l1_.size(); ++index) {
    if (const auto table = table_of(index); table && *table) free_space_.protect({cluster_number((*table)->at), 1});
  }
  return protect_snapshots();
}

// The snapshot table and the L1 tables in it; what these name is not looked at, as QEMU does not by default.
Result<void> Qcow2Image::protect_snapshots() {
  constexpr std::uint64_t kMostClusters = 1u << 20;
  if (header_.snapshots == 0) return {};
  auto table = read_snapshot_table(*file_, header_);
  if (!table) return Failure(std::move(table.error()).within(file_->name()));
  const auto run_of = [&](HostOffset at, std::uint64_t bytes) {
    return ClusterRun{cluster_number(at), ceil_divide(bytes, layout_.cluster().value())};
  };
  std::vector<ClusterRun> runs{run_of(header_.snapshot_table, table->bytes.value())};
  for (const Snapshot& snapshot : table->snapshots) {
    runs.push_back(clusters_of_words(snapshot.l1_table, snapshot.l1_entries));
  }
  std::uint64_t clusters = 0;
  for (const ClusterRun& run : runs) {
    clusters += run.count;
    if (clusters > kMostClusters) return fail(ErrorKind::Limit, "{}: its snapshots are too large", file_->name());
    free_space_.protect(run);
  }
  return {};
}

}  // namespace flatimg::qcow2
