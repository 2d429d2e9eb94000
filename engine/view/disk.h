// A flat disk: what a mount or a tool holds. Bytes in, bytes out; no format, no inode.
//
// The write path in five lines: hold the range as Use and map it; if it may be overwritten where it is, write; else
// hold it as Change, let the format place it, read what must be kept around it, write (before, data, after) at once,
// and let the format link it.
//
// Invariants:
//   1. No answer of Image::map() is used after its range was released (range_lock.h).
//   2. A sector is old or new for every reader and after every crash; a zeroed one never shows what lay below.
//   3. Once a barrier has failed no flush succeeds and no write is taken until the image is opened again; reads go on.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "image/image.h"
#include "view/data_count.h"
#include "view/range_lock.h"

namespace flatimg {

struct DiskOptions {
  enum class Discard { Unmap, Ignore };
  enum class DetectZeroes { Off, On, Unmap };
  Discard discard = Discard::Unmap;
  DetectZeroes detect_zeroes = DetectZeroes::Off;
};

class DiskAudit;
class Parts;

class Disk {
 public:
  /// Takes over a chain of images, `top` first; each one's below() is the next.
  Disk(std::vector<std::unique_ptr<Image>> chain, DiskOptions options);
  ~Disk();

  [[nodiscard]] ByteCount size() const { return top_->size(); }
  [[nodiscard]] bool writable() const { return top_->traits().writable; }
  [[nodiscard]] const Traits& traits() const { return top_->traits(); }
  /// Why nothing can be written any more although the disk is writable(); empty while it can.
  [[nodiscard]] std::optional<std::string> corruption() const { return top_->corruption(); }
  /// For those who begin to write: Denied when the disk is not writable(), ReadOnly when it is not any more.
  [[nodiscard]] Result<void> accepts_writers() const;
  [[nodiscard]] Image& top() { return *top_; }

  // All of these: any thread; OutOfRange when the range is not within the disk; empty ranges do nothing.

  Result<void> read(GuestOffset at, std::span<std::byte> out);
  Result<void> write(GuestOffset at, std::span<const std::byte> data);
  /// A whole unit (traits().unit), as encode() of the top has it: stored like that. The last unit may reach beyond the
  /// end of the disk.
  Result<void> write_encoded(GuestOffset unit, std::span<const std::byte> encoded);
  /// Makes the range read as zeroes. Space::Release is a punch (and follows the discard option).
  Result<void> zero(GuestRange range, Space space);
  /// fallocate: afterwards writing to the range needs no new host space. Changes no byte.
  Result<void> allocate(GuestRange range);
  /// fsync: everything acknowledged before the call is on stable storage.
  Result<void> flush();
  /// Rounds up to 512 bytes where the format cannot say it more exactly. Behind the old end everything is zero.
  Result<void> resize(ByteCount size);
  /// The disk shows what is below its top again.
  Result<void> empty();
  // Internal snapshots: see Image. Everything is flushed and held meanwhile.
  Result<void> create_snapshot(const SnapshotInfo& wanted);
  Result<void> apply_snapshot(std::string_view id_or_name);
  Result<void> delete_snapshot(std::string_view name_or_id);
  /// The last call: flushes and gives reserved space back. Failing means that bytes may be lost.
  Result<void> close();

  /// The first byte of data (or of a hole) at or after `from`. The end of the disk counts as a hole, so next_hole
  /// always finds one; next_data returns nullopt when only holes follow.
  Result<std::optional<GuestOffset>> next_data(GuestOffset from);
  Result<GuestOffset> next_hole(GuestOffset from);

  /// Bytes of data, in agreement with next_data; the whole size until the first count of a very large image is done.
  ByteCount data_bytes();

  /// One resolved piece of the chain, for `map` and the hole walk: what `source` says and how deep in the chain it is.
  struct Resolved {
    Extent extent;       // `where` in coordinates of the disk; the source is never Below
    unsigned depth = 0;  // 0 = top
    Image* image = nullptr;
    GuestOffset at;            // where it begins in `image`
    ByteCount decoded_before;  // of an Encoded source: what decode() yields in front of `where`
  };
  /// The caller holds no lock; the answer is a snapshot.
  Result<Resolved> resolve(GuestRange want, Look look);

  [[nodiscard]] Counters counters() const;

 private:
  friend class Parts;
  friend class DiskAudit;
  /// Over an image that somebody else owns and closes.
  Disk(Image& borrowed, DiskOptions options);
  void stop_counting();

  // disk.cpp: the read path
  [[nodiscard]] Result<void> check_range(GuestRange range) const;
  Result<Resolved> resolve_held(GuestRange want, Look look);
  Result<void> read_held(GuestRange range, std::span<std::byte> out);
  Result<void> read_piece(const Resolved& piece, std::span<std::byte> out);
  [[nodiscard]] GuestRange whole_disk() const { return {GuestOffset(0), size()}; }

  // write.cpp: the write path. The range is held as Change where nothing else is said.
  Result<void> guard(GuestRange range, std::span<const std::byte> data);
  Result<GuestOffset> overwrite_while_in_place(GuestRange range, std::span<const std::byte> data);
  Result<void> write_changing(GuestRange range, std::span<const std::byte> data);
  Result<void> fill_and_link(Placement placement, GuestRange range, std::span<const std::byte> data);
  Result<std::span<const std::byte>> kept_bytes(GuestRange around, std::span<std::byte> memory, const Placement& where);
  Result<bool> all_zero(GuestRange range);
  Result<void> link_counted(Placement placement);

  // zero.cpp
  Result<void> zero_held(GuestRange range, Space space, GuestOffset disk_end);
  Result<void> zero_whole_units(GuestRange whole, Space space);
  Result<void> write_zeroes(GuestRange range);
  Result<void> allocate_held(GuestRange range);

  // resize.cpp. Everything is held as Change.
  Result<void> grow_held(ByteCount size);
  Result<void> clear_fresh(GuestRange fresh);
  Result<void> shrink_held(ByteCount size);
  void count_anew();
  Result<void> with_all_held(const std::function<Result<void>()>& change);

  // holes.cpp
  Result<ByteCount> data_bytes_in(GuestRange range);
  Result<void> count_chunk();
  void start_counting() REQUIRES(counting_mutex_);
  void count_until(std::optional<std::chrono::steady_clock::time_point> deadline);
  Result<std::optional<GuestOffset>> find(GuestOffset from, bool (*wanted)(const Extent&));

  std::vector<std::unique_ptr<Image>> chain_;
  Image* top_;
  std::unique_ptr<Parts> parts_;  // when the top is made of parts: everything is passed on to them
  DiskOptions options_;
  RangeLock lock_;
  DataCount data_count_;
  Mutex counting_mutex_{Rank::Session};
  std::thread counting_thread_;
  std::atomic<bool> counting_{false};  // the thread has not finished
  std::atomic<bool> closing_{false};
};

}  // namespace flatimg
