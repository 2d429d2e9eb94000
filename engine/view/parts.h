// A disk that is made of other disks, one behind the other (image/divided_image.h).
//
// Each part is a Disk over its own image, in that image's coordinates: so it has a map lock with its own units, a first
// sector that is guarded, its own detection of zeroes, and nothing that is done to it reaches beyond it. Requests are
// cut at the borders.
//
// Invariants:
//   1. A request for writing that touches a part which cannot be written changes nothing at all.
//   2. flush() reports success when every part that was written since has been flushed: nobody is served by a flush
//      that began before his write ended.
#pragma once

#include <atomic>

#include "image/divided_image.h"
#include "view/disk.h"

namespace flatimg {

class Parts {
 public:
  Parts(DividedImage& whole, const DiskOptions& options);

  // All ranges lie within the disk and are not empty.

  Result<void> read(GuestRange range, std::span<std::byte> out);
  Result<void> write(GuestRange range, std::span<const std::byte> data);
  Result<void> zero(GuestRange range, Space space);
  Result<void> allocate(GuestRange range);
  /// All parts are tried; the first error is returned.
  Result<void> flush();

  /// `from` lies within the disk.
  Result<std::optional<GuestOffset>> next_data(GuestOffset from);
  Result<std::optional<GuestOffset>> next_hole(GuestOffset from);
  /// At most the size of each part, when its image has data that the part does not show.
  ByteCount data_bytes();
  Result<Disk::Resolved> resolve(GuestRange want, Look look);

  /// The disks of the parts, in order.
  [[nodiscard]] std::vector<Disk*> disks() const;

  /// Nobody counts data any more; before the images are closed.
  void stop_counting();

 private:
  struct Piece {
    DiskPart part;
    std::unique_ptr<Disk> disk;             // nullptr: zeroes
    std::atomic<std::uint64_t> written{0};  // how many requests have changed it
    std::atomic<std::uint64_t> flushed{0};  // how many of them are on stable storage for certain

    Result<void> flush();
  };
  struct Share {
    Piece* piece = nullptr;
    GuestRange where;  // of the whole disk
    GuestRange there;  // of the part's image
  };
  [[nodiscard]] Share share_of(GuestRange range);
  [[nodiscard]] Result<void> must_be_writable(GuestRange range);
  template <class Change>
  Result<void> change(GuestRange range, Change change);
  template <class Find>
  Result<std::optional<GuestOffset>> find(GuestOffset from, Find find);

  DividedImage& whole_;
  std::vector<std::unique_ptr<Piece>> pieces_;
};

}  // namespace flatimg
