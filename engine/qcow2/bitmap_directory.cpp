#include "qcow2/bitmap_directory.h"

#include "base/endian.h"
#include "base/limits.h"
#include "qcow2/forward_reader.h"
#include "qcow2/header.h"

namespace flatimg::qcow2 {

namespace {

constexpr std::size_t kEntryHead = 24;
constexpr unsigned kDirtyTracking = 1;
constexpr unsigned kMinGranularityBits = 9;
constexpr unsigned kMaxGranularityBits = 31;
constexpr std::size_t kMostNameBytes = 1023;
constexpr ByteCount kMostBytesOfABitmap{512u << 20};
constexpr ByteCount kMostDirectoryBytes{std::uint64_t{1024} * limits::kQcow2Bitmaps};

struct EntryHead {
  Bitmap bitmap;
  unsigned type = 0;
  std::size_t name_bytes = 0;
  std::size_t extra_bytes = 0;
};

EntryHead parse_head(std::span<const std::byte> head) {
  EntryHead entry;
  entry.bitmap.table = HostOffset(load_be<std::uint64_t>(head, 0));
  entry.bitmap.table_entries = load_be<std::uint32_t>(head, 8);
  entry.bitmap.flags = load_be<std::uint32_t>(head, 12);
  entry.type = std::to_integer<unsigned>(head[16]);
  entry.bitmap.granularity_bits = std::to_integer<unsigned>(head[17]);
  entry.name_bytes = load_be<std::uint16_t>(head, 18);
  entry.extra_bytes = load_be<std::uint32_t>(head, 20);
  return entry;
}

Result<void> check_head(const EntryHead& entry, ByteCount cluster) {
  const Bitmap& bitmap = entry.bitmap;
  if (entry.extra_bytes != 0) return fail(ErrorKind::Unsupported, "a bitmap has extra data, whose meaning is unknown");
  const bool table_is_sane = bitmap.table_entries != 0 && bitmap.table.value() != 0 &&
                             (bitmap.table % cluster).is_zero() && bitmap.table.value() <= limits::kQcow2HostOffset &&
                             cluster * bitmap.table_entries <= kMostBytesOfABitmap;
  if (!table_is_sane) return fail(ErrorKind::CorruptImage, "the table of a bitmap has an impossible place or length");
  const bool fields_are_sane = entry.type == kDirtyTracking && bitmap.granularity_bits >= kMinGranularityBits &&
                               bitmap.granularity_bits <= kMaxGranularityBits &&
                               (bitmap.flags & bitmap_flag::kReserved) == 0 && entry.name_bytes != 0 &&
                               entry.name_bytes <= kMostNameBytes;
  if (!fields_are_sane) return fail(ErrorKind::CorruptImage, "an entry of the bitmap directory is damaged");
  return {};
}

Result<Bitmap> read_entry(ForwardReader& reader, ByteCount cluster) {
  TRY(const auto head, reader.next(kEntryHead));
  EntryHead entry = parse_head(head);
  CHECK(check_head(entry, cluster));
  TRY(const auto name, reader.next(entry.name_bytes));
  entry.bitmap.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
  reader.align(8);
  return std::move(entry.bitmap);
}

Result<void> check_directory(const BitmapsExtension& directory, ByteCount cluster) {
  const bool sane = directory.bitmaps != 0 && directory.bitmaps <= limits::kQcow2Bitmaps &&
                    !directory.directory_size.is_zero() && directory.directory_size <= kMostDirectoryBytes &&
                    (directory.directory % cluster).is_zero() &&
                    directory.directory.value() <= limits::kQcow2HostOffset;
  if (!sane) return fail(ErrorKind::CorruptImage, "the bitmap directory has an impossible place or length");
  return {};
}

}  // namespace

bool has_valid_bitmaps(const Header& header) {
  return header.version >= 3 && header.bitmaps && (header.autoclear & autoclear::kBitmaps) != 0;
}

Result<std::vector<Bitmap>> read_bitmap_directory(HostFile& file, const Header& header) {
  std::vector<Bitmap> bitmaps;
  if (!has_valid_bitmaps(header)) return bitmaps;
  const BitmapsExtension& directory = *header.bitmaps;
  CHECK(check_directory(directory, header.cluster()));
  ForwardReader reader(file, directory.directory);
  while (reader.taken() < directory.directory_size) {
    if (bitmaps.size() == directory.bitmaps) break;
    TRY(Bitmap bitmap, read_entry(reader, header.cluster()));
    bitmaps.push_back(std::move(bitmap));
  }
  if (bitmaps.size() != directory.bitmaps || reader.taken() != directory.directory_size) {
    return fail(ErrorKind::CorruptImage, "the bitmap directory does not have the {} entries in {} bytes that it claims",
                directory.bitmaps, directory.directory_size.value());
  }
  return bitmaps;
}

}  // namespace flatimg::qcow2
