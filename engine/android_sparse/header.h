// The header of an Android sparse image (libsparse, sparse_format.h): little-endian, 28 bytes or more.
//
// Invariant of a Header that read_header() has returned: the size of the disk and that of every chunk can be computed
// without overflow, and a block is not empty and a multiple of 4 bytes.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "base/units.h"

namespace flatimg {
class HostFile;
}

namespace flatimg::android_sparse {

inline constexpr std::uint32_t kMagic = 0xED26FF3A;
inline constexpr std::uint16_t kHeaderLength = 28;
inline constexpr std::uint16_t kChunkHeaderLength = 12;

struct Header {
  std::uint16_t minor_version = 0;
  std::uint16_t header_length = kHeaderLength;             // longer: the rest is skipped
  std::uint16_t chunk_header_length = kChunkHeaderLength;  // the same for each chunk
  std::uint32_t block_bytes = 4096;
  std::uint32_t blocks = 0;    // of the disk
  std::uint32_t chunks = 0;    // in the file, as it claims
  std::uint32_t checksum = 0;  // CRC-32 of the whole disk; 0: not calculated

  [[nodiscard]] ByteCount block() const { return ByteCount(block_bytes); }
  [[nodiscard]] ByteCount size() const { return block() * blocks; }
};

/// InvalidImage for what is no such image or breaks its rules, Unsupported for another major version.
Result<Header> read_header(HostFile& file);

}  // namespace flatimg::android_sparse
