// An open qcow2 image, as engine/image sees it. The parts of the class are in files of their own:
//
//   open.cpp     reading the tables and judging them, before anything is written
//   map.cpp      guest range -> extent
//   place.cpp    space for new data, and linking it
//   zero.cpp     zero and discard
//   empty.cpp    an overlay whose contents have been committed
//   flush.cpp    what is written when (O1..O4), closing
//   resize.cpp   another size of the disk
//   snapshots.cpp  internal snapshots, with table_switch
//   switch.cpp   the header from one set of tables to another
//   encoded.cpp  compressed clusters: read and written
//   encryption.h enciphered clusters
//   table_audit.h   looking for contradictions, while nobody asks for anything
//   corrupt_mark.h  what becomes of it when a contradiction is met
//
// Whatever changes the disk passes through noticed(): a contradiction on its way declares the image corrupt.
//
// Locks, beside the map lock that callers hold: tables_mutex_ (ImageState) to create or copy an L2 table; FreeSpace's
// own. Entries of one guest cluster change only under the map lock, so readers need none.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>

#include "base/secret.h"
#include "cache/flusher.h"
#include "codec/block_pool.h"
#include "codec/decoded_cache.h"
#include "image/audit.h"
#include "image/image.h"
#include "qcow2/corrupt_mark.h"
#include "qcow2/encryption.h"
#include "qcow2/free_space.h"
#include "qcow2/header_core.h"
#include "qcow2/stream_space.h"

namespace flatimg::qcow2 {

struct Snapshot;
struct SnapshotTable;

/// Whether guest data is going to be read or written. An encrypted image needs no passphrase when it is not.
enum class Content { Needed, NotNeeded };

struct OpenOptions {
  bool writable = false;
  std::optional<std::string> snapshot;  // show this one (ID or name) instead of the disk; never writable
  ByteCount cache_size{64u << 20};
  std::chrono::milliseconds flush_interval{5000};
  const Secret* passphrase = nullptr;  // of an encrypted image; used while it is opened only
  Content content = Content::Needed;
};

/// Reads and judges the header of a file that is known to be qcow2.
Result<Header> read_header(HostFile& file, HeaderUse use = HeaderUse::Open);
/// The same without judging what the fields say: judge_header() does that.
Result<Header> read_header_fields(HostFile& file);

class Qcow2Image final : public Image, public Audited {
 public:
  /// `data_file` holds guest data when the header says so; `below` is the backing image or nullptr and outlives this.
  /// Checks the tables that are always needed. Repairs refcounts first when the image is dirty and to be written.
  static Result<std::unique_ptr<Qcow2Image>> open(std::unique_ptr<HostFile> file, Header header,
                                                  std::unique_ptr<HostFile> data_file, Image* below,
                                                  OpenOptions options);

  [[nodiscard]] const Traits& traits() const override { return traits_; }
  [[nodiscard]] ByteCount size() const override { return ByteCount(size_.load(std::memory_order_acquire)); }
  Result<Extent> map(GuestRange want, Look look) override {
    return look == Look::Overwrite ? noticed(map_to_overwrite(want)) : find_extent(want, look);
  }
  Result<std::shared_ptr<const AlignedBytes>> decode(const Encoded& encoded) override;
  Result<Placement> place(GuestRange want) override { return noticed(place_data(want)); }
  Result<void> link(Placement placement) override;
  Result<std::vector<std::byte>> encode(std::span<const std::byte> unit) override;
  Result<Placement> place_encoded(GuestRange unit, ByteCount length) override {
    return noticed(place_stream(unit, length));
  }
  Result<GuestRange> zero(GuestRange whole, Space space) override { return noticed(zero_units(whole, space)); }
  Result<void> make_room(ByteCount size) override { return noticed(lengthen_l1(size)); }
  Result<void> resize(ByteCount size) override { return noticed(change_size(size)); }
  Result<void> empty() override { return noticed(drop_all_tables()); }
  Result<void> create_snapshot(const SnapshotInfo& wanted) override { return noticed(take_snapshot(wanted)); }
  Result<void> apply_snapshot(std::string_view id_or_name) override { return noticed(go_back_to(id_or_name)); }
  Result<void> delete_snapshot(std::string_view name_or_id) override { return noticed(drop_snapshot(name_or_id)); }
  Result<void> flush() override;
  Result<void> close() override;
  [[nodiscard]] Image* below() const override { return below_; }
  [[nodiscard]] Counters counters() const override;
  [[nodiscard]] std::optional<std::string> corruption() const override;
  Result<std::unique_ptr<Audit>> begin_audit() override;

 private:
  class Reservation;
  class TableAudit;
  class TableSwitch;
  Qcow2Image(std::unique_ptr<HostFile> file, Header header, std::unique_ptr<HostFile> data_file, Image* below,
             OpenOptions options);

  // --- open.cpp ---
  static Result<Header> header_of_snapshot(HostFile& file, Header header, std::string_view id_or_name);
  Result<void> load();
  [[nodiscard]] ClusterRun crypto_header_clusters() const;
  Result<void> check_place(std::string_view what, HostRange range) const;
  Result<void> check_tables_apart();
  Result<void> check_data_lies_in_file();
  Result<void> begin_writing();
  Result<void> begin_writing_once() REQUIRES(tables_mutex_);
  Result<void> protect_tables_once() REQUIRES(tables_mutex_);
  Result<void> protect_tables();
  Result<void> protect_snapshots();

  // --- what a change has met ---
  /// Passes on the outcome of a change. CorruptImage means that the image contradicts itself.
  template <class T>
  Result<T> noticed(Result<T> outcome) {
    if (!outcome) notice(outcome.error());
    return outcome;
  }
  void notice(const Error& error) {
    if (error.kind == ErrorKind::CorruptImage) mark_.declare(header_, error);
  }

  // --- encoded.cpp ---
  Result<void> check_can_encode() const;
  Result<Placement> place_stream(GuestRange unit, ByteCount length);
  Result<std::shared_ptr<const AlignedBytes>> decode_cluster(std::uint64_t token);

  // --- map.cpp ---
  /// Where the entry of a guest cluster is: a page of its L2 table, and the first of its words there.
  struct EntryPlace {
    TableCache::Pin page;
    std::size_t word = 0;
    std::size_t entries_left = 0;  // in the page, this one included
    bool own = false;              // the table belongs to nobody else
  };
  struct TablePlace {
    HostOffset at;
    bool own = false;  // no snapshot shares the table
  };
  Result<Extent> map_to_overwrite(GuestRange want);
  Result<Extent> find_extent(GuestRange want, Look look);
  [[nodiscard]] bool names_table(std::uint64_t l1_word) const;
  Result<std::optional<TablePlace>> table_of(std::uint64_t l1_index) const;
  Result<EntryPlace> entry_in(TablePlace table, GuestOffset at);
  [[nodiscard]] Entry load_entry(const EntryPlace& place, std::size_t nth) const;
  [[nodiscard]] GuestRange unallocated_span(GuestRange want) const;
  Result<Extent> map_in_page(GuestRange want, const EntryPlace& place, Look look);
  Result<Extent> data_extent(Extent extent, Meaning meaning, Look look);
  [[nodiscard]] HostOffset host_of(const Meaning& meaning, GuestOffset at) const;
  [[nodiscard]] HostFile& data_holder() const { return data_file_ ? *data_file_ : *file_; }
  [[nodiscard]] std::uint64_t cluster_number(HostOffset at) const { return at / layout_.cluster(); }
  [[nodiscard]] HostOffset host_at(std::uint64_t cluster) const { return HostOffset(0) + layout_.cluster() * cluster; }

  // --- place.cpp ---
  Result<Placement> place_data(GuestRange want);
  Result<HostOffset> own_table(std::uint64_t l1_index);
  Result<HostOffset> make_table(std::uint64_t l1_index) REQUIRES(tables_mutex_);
  Result<void> fill_table(HostOffset fresh, std::optional<TablePlace> old, const FreeSpace::Grant& grant);
  Result<void> copy_table(HostOffset from, HostOffset to);
  Result<EntryPlace> entry_to_change(GuestOffset at);
  Result<Placement> place_reserved(GuestRange want, EntryPlace place, const Meaning& meaning);
  Result<Placement> place_fresh(GuestRange want, EntryPlace place);
  Placement placement(GuestRange fill, std::unique_ptr<Reservation> reservation, HostOffset first_cluster);
  [[nodiscard]] bool must_carry_whole(Entry entry) const;
  [[nodiscard]] bool reads_zero(Entry entry, GuestRange part) const;
  [[nodiscard]] Entry linked_entry(Entry old, const Reservation& reservation, std::size_t nth, GuestRange fill) const;
  [[nodiscard]] std::optional<ClusterRun> clusters_of(Entry entry) const;
  Result<void> check_replaceable(Entry old);
  void release_old(Entry old);

  // --- zero.cpp ---
  Result<GuestRange> zero_units(GuestRange whole, Space space);
  Result<GuestRange> zero_in_table(GuestRange whole, Space space);
  [[nodiscard]] std::optional<Entry> zeroed_entry(Entry old, GuestRange part, Space space) const;
  [[nodiscard]] GuestRange cluster_at(GuestOffset at) const;

  // --- resize.cpp ---
  Result<void> lengthen_l1(ByteCount size);
  Result<void> change_size(ByteCount size);
  Result<void> drop_all_tables();  // empty.cpp
  Result<void> check_new_size(ByteCount size) const;
  Result<void> move_l1(const std::vector<std::uint64_t>& words);
  Result<void> switch_l1(ClusterRun place, const std::vector<std::uint64_t>& words);
  [[nodiscard]] std::uint64_t clusters_for_words(std::uint64_t words) const;
  Result<void> write_words(ClusterRun place, const std::vector<std::uint64_t>& words);
  Result<void> resize_data_file(ByteCount size);
  void release_beyond_end();
  Result<void> clear_last_table();
  [[nodiscard]] bool holds_entries(const EntryPlace& place) const;
  void clear_entries(EntryPlace& place);
  Result<void> drop_table(std::uint64_t l1_index);
  void release_if_sound(Entry entry);

  // --- snapshots.cpp ---
  Result<void> take_snapshot(const SnapshotInfo& wanted);
  Result<void> go_back_to(std::string_view id_or_name);
  Result<void> drop_snapshot(std::string_view name_or_id);
  Result<void> begin_snapshot_change();
  Result<std::vector<std::uint64_t>> snapshot_words(const Snapshot& snapshot) const;
  [[nodiscard]] ClusterRun clusters_of_words(HostOffset at, std::uint64_t words) const;
  Result<void> drop_snapshot_table(TableSwitch& work, const SnapshotTable& table);

  // --- switch.cpp ---
  Result<void> switch_header(const HeaderCore& from, const HeaderCore& to) EXCLUDES(tables_mutex_);
  Result<void> settle_header() EXCLUDES(tables_mutex_);
  // --- flush.cpp ---
  Result<void> write_back();
  Result<void> release_unlinked(FreeSpace::Pending unlinked);
  Result<void> return_space();
  Result<void> throttle();
  [[nodiscard]] bool clean() const;

  std::unique_ptr<HostFile> file_;
  std::unique_ptr<HostFile> data_file_;
  Image* below_;
  Header header_;  // table places and the size change with the whole disk held in Change
  std::atomic<std::uint64_t> size_;
  Layout layout_;
  Traits traits_;
  OpenOptions options_;
  std::unique_ptr<const Encryption> encryption_;  // nullptr: data is stored as it is

  ResidentTable l1_;
  TableCache l2_;
  FreeSpace free_space_;
  StreamSpace stream_space_;
  BlockPool blocks_;  // what decoded_ keeps, and what is being decoded
  DecodedCache decoded_;

  Mutex tables_mutex_{Rank::ImageState};
  CorruptMark mark_{*file_};
  std::atomic<bool> writing_begun_{false};
  std::atomic<bool> header_unsettled_{false};
  HeaderCore former_header_ GUARDED_BY(tables_mutex_);
  bool tables_protected_ GUARDED_BY(tables_mutex_) = false;
  std::atomic<std::uint64_t> host_writes_{0};
  std::atomic<std::uint64_t> barriers_{0};

  // Of audits (table_audit.h).
  std::optional<std::uint64_t> audited_writes_;  // host_writes_ when the last one began that looked at everything
  std::uint64_t audit_window_ = 0;
  std::atomic<std::uint64_t> audits_{0};
  std::atomic<std::uint64_t> audited_pages_{0};
  std::atomic<std::uint64_t> leaks_seen_{0};

  Flusher flusher_;  // last: its thread uses what is above
};

}  // namespace flatimg::qcow2
