// The directory of persistent dirty bitmaps (specification: "Bitmaps extension", sheet section 8). Read only.
#pragma once

#include <string>
#include <vector>

#include "base/range.h"
#include "base/result.h"
#include "host/host_file.h"

namespace flatimg::qcow2 {

struct Header;

namespace bitmap_flag {
inline constexpr std::uint32_t kInUse = 1u << 0;
inline constexpr std::uint32_t kAuto = 1u << 1;
inline constexpr std::uint32_t kReserved = ~std::uint32_t{kInUse | kAuto};
}  // namespace bitmap_flag

inline constexpr std::uint64_t kBitmapEntryReserved = 0xff000000000001fe;

struct Bitmap {
  HostOffset table;
  std::uint32_t table_entries = 0;
  std::uint32_t flags = 0;
  unsigned granularity_bits = 0;
  std::string name;
};

/// Whether the image has bitmaps that count: a writer that did not keep them up to date has cleared the autoclear bit.
[[nodiscard]] bool has_valid_bitmaps(const Header& header);

/// The entries of the directory; empty when there is none that counts. CorruptImage or Unsupported for entries that
/// QEMU refuses. Memory is bounded by the directory's bytes (64 MiB).
Result<std::vector<Bitmap>> read_bitmap_directory(HostFile& file, const Header& header);

}  // namespace flatimg::qcow2
