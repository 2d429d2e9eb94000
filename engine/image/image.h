// What a format is: it answers *where* the bytes of the virtual disk are. It never moves guest data.
//
// Who may call what (the map lock is view/range_lock.h; formats without a changing map need none):
//   map, decode            with the range held in Use or Change
//   encode                 without any lock
//   place, place_encoded,  with the range held in Change; the bytes are written between the two by the caller
//   link
//   zero, discard          with the range held in Change
//   make_room, resize, empty, *_snapshot   with the whole disk held in Change
//   flush                  without any lock
// An answer of map() is true until the range is released.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/range.h"
#include "base/result.h"
#include "host/host_file.h"
#include "image/report.h"
#include "image/sector_transform.h"

namespace flatimg {

class Image;

/// Bytes in a file of the host.
struct InFile {
  HostFile* file = nullptr;
  HostOffset at;
  bool in_place = false;  // may be overwritten where it is
  Enciphered cipher = {};
};
/// Reads as zeroes.
struct Zeroes {
  bool recorded = false;        // the image says "zero"; otherwise nothing was ever written here
  bool space_reserved = false;  // the host has space for it (a preallocated zero cluster)
  HostOffset at = {};           // where that space is
};
/// Four bytes again and again, stored nowhere.
struct Repeated {
  std::array<std::byte, 4> bytes{};  // byte n of the extent is bytes[n % 4]

  /// For an extent that begins `into` bytes behind the place where `word` (in memory order) begins.
  [[nodiscard]] static Repeated word_from(std::uint32_t word, ByteCount into);
  /// Writes the beginning of the extent.
  void fill(std::span<std::byte> out) const;
};
/// Another image answers, at the same distance from its own beginning.
struct Below {
  Image* image = nullptr;
  GuestOffset at;
};
/// Stored encoded (compressed); only decode() of the image that said so can read it.
struct Encoded {
  std::uint64_t token = 0;
  GuestRange whole;  // what one decode() yields
};

struct Extent {
  GuestRange where;
  std::variant<InFile, Zeroes, Repeated, Below, Encoded> source;
};

/// What map() is asked for.
enum class Look {
  Data,       // to read
  Overwrite,  // to write where it is: an InFile{in_place} has been checked against the places of the image's tables
  Holes,      // to know what is really there: costs host calls where a format stores data in a file with holes
};

/// Host space for a range of the guest that no table mentions yet.
///
/// Move-only. Destroyed without link(), it gives the space back.
class Placement {
 public:
  /// The format's own memory of what was reserved.
  class Reservation {
   public:
    virtual ~Reservation() = default;
  };

  HostFile* file = nullptr;
  HostOffset at;            // where fill.begin goes
  GuestRange fill;          // whole units around what was asked for: every byte must be written before link()
  bool reads_zero = false;  // the guest would read zeroes there already: zero bytes need not be written
  Enciphered cipher = {};   // fill then begins and ends with whole sectors
  std::unique_ptr<Reservation> reservation;
};

/// What is true of an image for its whole life.
struct Traits {
  std::string_view format;  // "qcow2", "raw": the word that -f takes
  ByteCount unit{512};      // what the map lock rounds to: one map entry (a cluster)
  ByteCount granule{512};   // what zero() and place() can treat as a whole (a subcluster); 1: any range
  bool writable = false;
  bool fixed_map = false;        // map() never changes: no map lock is needed
  bool enciphered = false;       // data is enciphered in sectors: writes hold their range as Change, see view/README
  bool has_below = false;        // unallocated ranges show another image
  std::string read_only_reason;  // why a writable file gives a read-only image; empty when it does not

  /// Asked before a write that changes the first sector of a disk whose format was only guessed (promise S4). Gets the
  /// sector as it would become.
  std::function<Result<void>(std::span<const std::byte>)> guard_first_sector;
};

class Image {
 public:
  Image() = default;
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;
  virtual ~Image() = default;

  [[nodiscard]] virtual const Traits& traits() const = 0;

  /// Size of the virtual disk.
  [[nodiscard]] virtual ByteCount size() const = 0;

  /// Where the bytes from want.begin are; the extent begins there and is as long as it can honestly be, at most `want`.
  /// `want` is not empty and ends within the disk.
  virtual Result<Extent> map(GuestRange want, Look look) = 0;

  /// The whole of an Encoded extent, as shared bytes that stay valid for as long as they are held.
  virtual Result<std::shared_ptr<const AlignedBytes>> decode(const Encoded& encoded);

  /// Reserves space for the beginning of `want`, which map() said is not InFile{in_place}. fill covers want.begin.
  virtual Result<Placement> place(GuestRange want);
  /// Makes the tables mention what was placed and written.
  virtual Result<void> link(Placement placement);

  /// A whole unit (traits().unit) in the form in which decode() reads it; empty when that takes as much space or more.
  /// Unsupported where this image can hold nothing encoded.
  virtual Result<std::vector<std::byte>> encode(std::span<const std::byte> unit);
  /// Reserves `length` bytes for what encode() returned for a whole unit, in place of what the unit shows. `fill` is
  /// the unit, and what is written is the encoded bytes, at `at`.
  virtual Result<Placement> place_encoded(GuestRange unit, ByteCount length);

  /// Makes whole units read as zeroes. Returns how much of the beginning was done; an empty range when the format
  /// cannot record zeroes there, and then the caller writes them.
  virtual Result<GuestRange> zero(GuestRange whole, Space space);

  /// Before resize() to a larger size: afterwards map, place, link and zero work up to there, although size() has not
  /// changed. What is mapped there must read as zeroes before resize().
  virtual Result<void> make_room(ByteCount size);
  /// On an error the size is the old one; when the disk becomes smaller, what lies beyond is given back. Both may round
  /// up to the next 512 bytes.
  virtual Result<void> resize(ByteCount size);

  /// Forgets everything: the image below shows again. With the whole disk held in Change; Unsupported where an image
  /// cannot have another one below.
  virtual Result<void> empty();

  // Internal snapshots. All or nothing, also in a crash, and on disk on return.
  /// Uses the name and the date; gives a number as ID.
  virtual Result<void> create_snapshot(const SnapshotInfo& wanted);
  /// The disk becomes what it was, its size included. NotFound when there is no such snapshot.
  virtual Result<void> apply_snapshot(std::string_view id_or_name);
  virtual Result<void> delete_snapshot(std::string_view name_or_id);

  /// Everything acknowledged is on stable storage on return. Concurrent callers share the work.
  virtual Result<void> flush() = 0;

  /// The last flush: also gives back what was reserved ahead. Nothing else is called afterwards.
  virtual Result<void> close() = 0;

  /// Bytes of data, for formats whose host file knows it better than a walk over map() would.
  virtual std::optional<ByteCount> known_data_bytes() { return std::nullopt; }

  /// The image behind this one, or nullptr.
  [[nodiscard]] virtual Image* below() const { return nullptr; }

  /// The contradiction because of which nothing can be changed any more (ErrorKind::ReadOnly); empty while there is
  /// none. Any thread, no lock.
  [[nodiscard]] virtual std::optional<std::string> corruption() const { return std::nullopt; }

  /// Counters for `status`, by name.
  [[nodiscard]] virtual Counters counters() const { return {}; }
};

}  // namespace flatimg
