// Builds Android sparse images in memory, byte by byte and without the engine's help, together with the disk that they
// show, so that tests can damage any field.
#pragma once

#include <zlib.h>

#include <cstring>
#include <string>
#include <vector>

#include "support/memory_file.h"
#include "support/temp_dir.h"

namespace flatimg::test {

struct SparseShape {
  std::uint32_t block = 4096;
  std::uint16_t header_length = 28;
  std::uint16_t chunk_header_length = 12;
};

class SparseBuilder {
 public:
  explicit SparseBuilder(const SparseShape& shape = {}) : shape_(shape), bytes_(shape.header_length, '\0') {
    put32(0, 0xED26FF3A);
    put16(4, 1);
    put16(8, shape.header_length);
    put16(10, shape.chunk_header_length);
    put32(12, shape.block);
  }

  // Each returns where the header of its chunk is.
  std::size_t raw(const std::string& data) {  // NOLINT(modernize-use-nodiscard)
    disk_ += data;
    by_libsparse_ = crc(by_libsparse_, data);
    return chunk(0xCAC1, static_cast<std::uint32_t>(data.size() / shape_.block), data);
  }
  std::size_t fill(std::uint32_t word, std::uint32_t blocks) {  // NOLINT(modernize-use-nodiscard)
    const std::string body(reinterpret_cast<const char*>(&word), sizeof word);
    std::string block;
    while (block.size() < shape_.block) block += body;
    for (std::uint32_t n = 0; n < blocks; ++n) disk_ += block;
    by_libsparse_ = crc(by_libsparse_, block);
    return chunk(0xCAC2, blocks, body);
  }
  std::size_t dont_care(std::uint32_t blocks) {  // NOLINT(modernize-use-nodiscard)
    disk_.append(std::size_t{blocks} * shape_.block, '\0');
    return chunk(0xCAC3, blocks, "");
  }
  std::size_t crc32(std::uint32_t checksum) {  // NOLINT(modernize-use-nodiscard)
    return chunk(0xCAC4, 0, std::string(reinterpret_cast<const char*>(&checksum), sizeof checksum));
  }
  /// Any chunk. Its blocks count for the header; the disk is not told.
  std::size_t chunk(std::uint16_t kind, std::uint32_t blocks, const std::string& body) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + shape_.chunk_header_length, '\xcc');
    put16(at, kind);
    put16(at + 2, 0);
    put32(at + 4, blocks);
    put32(at + 8, static_cast<std::uint32_t>(shape_.chunk_header_length + body.size()));
    bytes_ += body;
    blocks_ += blocks;
    put32(16, blocks_);
    put32(20, ++chunks_);
    return at;
  }
  void trailing(const std::string& bytes) { bytes_ += bytes; }

  void put16(std::size_t at, std::uint16_t value) { std::memcpy(bytes_.data() + at, &value, sizeof value); }
  void put32(std::size_t at, std::uint32_t value) { std::memcpy(bytes_.data() + at, &value, sizeof value); }
  void truncate(std::size_t length) { bytes_.resize(length); }

  /// The checksum of the disk so far, as the format has it, and as libsparse's writer counts it.
  [[nodiscard]] std::uint32_t checksum() const { return crc(0, disk_); }
  [[nodiscard]] std::uint32_t checksum_of_libsparse() const { return by_libsparse_; }

  [[nodiscard]] const std::string& disk() const { return disk_; }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }
  [[nodiscard]] std::unique_ptr<HostFile> file(const std::string& name = "sparse.img") const {
    return MemoryFile::containing(std::as_bytes(std::span(bytes_)), name, Access::ReadOnly);
  }

 private:
  static std::uint32_t crc(std::uint32_t before, const std::string& text) {
    return static_cast<std::uint32_t>(
        ::crc32_z(before, reinterpret_cast<const Bytef*>(text.data()), static_cast<z_size_t>(text.size())));
  }

  SparseShape shape_;
  std::string bytes_;
  std::string disk_;
  std::uint32_t blocks_ = 0;
  std::uint32_t chunks_ = 0;
  std::uint32_t by_libsparse_ = 0;
};

/// `length` bytes that compress badly and differ with `seed`.
inline std::string letters(std::size_t length, unsigned seed) {
  std::string text(length, '\0');
  std::uint32_t state = seed * 2654435761u + 1;
  for (char& letter : text) {
    state = state * 1664525u + 1013904223u;
    letter = static_cast<char>(state >> 24);
  }
  return text;
}

}  // namespace flatimg::test
