// An open qcow image, as engine/image sees it. The parts of the class are in files of their own:
//
//   open.cpp     reading the tables and judging them; the first write
//   map.cpp      guest range -> extent
//   encoded.cpp  compressed clusters, read and written
//   place.cpp    space for new data, and linking it; new L2 tables
//   zero.cpp     zero and discard; an overlay whose contents have been committed
//   flush.cpp    what is written when (O2, O4), closing
//   xen.cpp      what is special about images of Xen's tapdisk when they are written
//
// Locks, beside the map lock that callers hold: tables_mutex_ (ImageState) to make an L2 table; FreeSpace's own.
// Entries of one guest cluster change only under the map lock, so readers need none.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>

#include "base/secret.h"
#include "cache/flusher.h"
#include "cache/table_cache.h"
#include "codec/block_pool.h"
#include "codec/decoded_cache.h"
#include "image/image.h"
#include "qcow1/encryption.h"
#include "qcow1/free_space.h"
#include "qcow1/l1_table.h"
#include "qcow1/layout.h"
#include "qcow1/live_l1.h"

namespace flatimg::qcow1 {

/// Whether guest data is going to be read or written. An encrypted image needs no passphrase when it is not.
enum class Content { Needed, NotNeeded };

struct OpenOptions {
  bool writable = false;
  ByteCount cache_size{64u << 20};
  std::chrono::milliseconds flush_interval{5000};
  const Secret* passphrase = nullptr;  // of an encrypted image; used while it is opened only
  Content content = Content::Needed;
};

class Qcow1Image final : public Image {
 public:
  /// `below` is the backing image or nullptr and outlives this. Checks the tables; one that is to be written is walked
  /// as a whole, and opened for reading only when something in it is wrong. Writes nothing.
  static Result<std::unique_ptr<Qcow1Image>> open(std::unique_ptr<HostFile> file, Header header, Image* below,
                                                  OpenOptions options);

  /// The first write is going to convert the L1 table to big-endian.
  [[nodiscard]] bool will_convert_l1() const { return traits_.writable && l1_order_ == ByteOrder::Little; }

  [[nodiscard]] const Traits& traits() const override { return traits_; }
  [[nodiscard]] ByteCount size() const override { return header_.size; }
  Result<Extent> map(GuestRange want, Look look) override;
  Result<std::shared_ptr<const AlignedBytes>> decode(const Encoded& encoded) override;
  Result<Placement> place(GuestRange want) override;
  Result<void> link(Placement placement) override;
  Result<std::vector<std::byte>> encode(std::span<const std::byte> unit) override;
  Result<Placement> place_encoded(GuestRange unit, ByteCount length) override;
  Result<GuestRange> zero(GuestRange whole, Space space) override;
  Result<void> empty() override;
  Result<void> flush() override;
  Result<void> close() override;
  std::optional<ByteCount> known_data_bytes() override;
  [[nodiscard]] Image* below() const override { return below_; }
  [[nodiscard]] Counters counters() const override;

 private:
  class Reservation;
  Qcow1Image(std::unique_ptr<HostFile> file, Header header, const L1Table& table, Image* below,
             const OpenOptions& options);

  // --- open.cpp ---
  static Result<std::unique_ptr<const Encryption>> encryption_of(const HostFile& file, const Header& header,
                                                                 const OpenOptions& options);
  Result<void> load(const L1Table& table);
  Result<void> prepare_writing(const L1Table& table);
  Result<void> begin_writing() EXCLUDES(tables_mutex_);

  // --- map.cpp ---
  /// Where the entry of a guest cluster is: a page of its L2 table, and its word there.
  struct EntryPlace {
    TableCache::Pin page;
    std::size_t word = 0;
    std::size_t entries_left = 0;  // in the page, this one included
  };
  /// Clusters that mean the same, and lie one behind the other when they are data.
  struct Run {
    GuestRange where;
    Meaning meaning;  // of the first byte: `host` is where that lies
    std::uint64_t entry = 0;
  };
  [[nodiscard]] std::optional<HostOffset> table_of(std::uint64_t l1_index) const;
  Result<EntryPlace> entry_in(HostOffset table, GuestOffset at);
  Result<Run> run_at(GuestRange want);
  [[nodiscard]] Run run_in_page(GuestRange want, const EntryPlace& place) const;
  [[nodiscard]] GuestRange without_table(GuestRange want) const;
  [[nodiscard]] GuestRange cluster_at(GuestOffset at) const;
  Result<Extent> data_extent(const Run& run) const;
  [[nodiscard]] HostOffset file_end() const { return traits_.writable ? free_space_.file_end() : first_end_; }

  // --- encoded.cpp ---
  Result<std::shared_ptr<const AlignedBytes>> decode_cluster(std::uint64_t entry);
  Result<void> check_can_encode() const;
  Result<void> link_stream(Reservation& reservation);

  // --- place.cpp ---
  Result<EntryPlace> entry_to_change(GuestOffset at) EXCLUDES(tables_mutex_);
  Result<HostOffset> own_table(std::uint64_t l1_index) EXCLUDES(tables_mutex_);
  Result<void> reserve_table(std::uint64_t l1_index, HostOffset table) REQUIRES(tables_mutex_);
  Result<HostOffset> make_table(std::uint64_t l1_index) REQUIRES(tables_mutex_);
  Result<void> fill_table(const FreeSpace::Grant& grant);
  [[nodiscard]] Placement placement(GuestRange fill, std::unique_ptr<Reservation> reservation);
  [[nodiscard]] bool reads_zero(std::uint64_t entry) const { return entry == 0 && below_ == nullptr; }

  // --- zero.cpp ---
  Result<std::optional<GuestRange>> zero_run(const Run& run, Space space);
  Result<void> unlink(GuestRange clusters);
  [[nodiscard]] bool may_unlink(GuestRange where) const;

  // --- xen.cpp ---
  Result<void> convert_l1() REQUIRES(tables_mutex_);
  Result<void> leave_extents() REQUIRES(tables_mutex_);
  Result<HostOffset> make_extent() REQUIRES(tables_mutex_);
  Result<void> write_checksum();
  [[nodiscard]] bool makes_extents() const { return extents_ && below_ == nullptr && encryption_ == nullptr; }
  [[nodiscard]] Space space_for(Space wanted) const;

  // --- flush.cpp ---
  Result<void> write_back();
  Result<void> throttle();

  std::unique_ptr<HostFile> file_;
  Image* below_;
  Header header_;  // the place of the L1 table changes with convert_l1()
  const Layout layout_;
  Traits traits_;
  HostOffset first_end_;                          // of the file, when it was opened
  std::unique_ptr<const Encryption> encryption_;  // nullptr: data is stored as it is

  LiveL1 l1_;
  std::atomic<ByteOrder> l1_order_;
  std::atomic<bool> extents_;          // every L2 table is followed by its clusters, and tapdisk relies on that
  std::atomic<std::uint64_t> tables_;  // how many there are
  TableCache l2_;
  FreeSpace free_space_;
  BlockPool blocks_;  // what decoded_ keeps, and what is being decoded
  DecodedCache decoded_;

  Mutex tables_mutex_{Rank::ImageState};
  std::vector<bool> reserved_tables_ GUARDED_BY(tables_mutex_);  // have host space for all that may change in them
  bool l1_changed_ GUARDED_BY(tables_mutex_) = false;
  std::atomic<bool> writing_begun_{false};
  std::atomic<std::uint64_t> host_writes_{0};
  std::atomic<std::uint64_t> barriers_{0};
  Flusher flusher_;  // last: its thread uses what is above
};

}  // namespace flatimg::qcow1
