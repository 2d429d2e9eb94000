// The description of a composite disk: which files it consists of. All that the file holds.
//
// What read_header() returns is consistent: at least one part, sorted, the first one at 0, none of them empty, all sums
// within limits::kDisk. Sizes of the files are not known here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/range.h"
#include "base/result.h"
#include "host/host_file.h"

namespace flatimg::composite {

inline constexpr std::string_view kMagic = "composite_disk\x1d";
inline constexpr std::uint64_t kVersion = 2;  // what is written, and the highest that is understood

inline constexpr std::uint64_t kReadWrite = 1;  // a capability; every other number means read-only

struct Part {
  std::string path;       // as it is recorded: relative to the directory of the composite disk
  GuestRange where;       // on the disk; the length follows from the part behind it
  ByteCount file_offset;  // the first byte of the file's own disk that is used
  std::uint64_t capability = 0;

  [[nodiscard]] bool writable() const { return capability == kReadWrite; }
};

struct Header {
  std::uint64_t version = kVersion;
  ByteCount length;
  std::vector<Part> parts;  // by their place on the disk
};

/// InvalidImage, Unsupported (a newer version) or Limit; the message names the file.
Result<Header> read_header(HostFile& file);

/// The same for the bytes of a whole file; the message names none.
Result<Header> parse_header(std::span<const std::byte> file);

/// The bytes of the file. Lengths of parts are not recorded.
[[nodiscard]] std::string encode_header(const Header& header);

}  // namespace flatimg::composite
