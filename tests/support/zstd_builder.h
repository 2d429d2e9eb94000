// Builds zstd files in memory, frame by frame, together with the disk that they show and the seek table that is due.
#pragma once

#include <xxhash.h>
#include <zstd.h>

#include <cstring>
#include <string>
#include <vector>

#include "support/memory_file.h"
#include "support/sparse_builder.h"

namespace flatimg::test {

class ZstdBuilder {
 public:
  enum class Size { Stated, Unstated };
  enum class Checksums { None, InTable };

  /// A frame as the library writes it; returns where it is in the file.
  std::size_t frame(const std::string& content, Size size = Size::Stated) {
    ZSTD_CCtx* const context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, size == Size::Stated ? 1 : 0);
    std::string out(ZSTD_compressBound(content.size()), '\0');
    out.resize(ZSTD_compress2(context, out.data(), out.size(), content.data(), content.size()));
    ZSTD_freeCCtx(context);
    return add(out, content);
  }
  /// Any bytes as a frame that holds `content`.
  std::size_t add(const std::string& stored, const std::string& content) {
    const std::size_t at = bytes_.size();
    bytes_ += stored;
    disk_ += content;
    entries_.push_back({static_cast<std::uint32_t>(stored.size()), static_cast<std::uint32_t>(content.size()),
                        static_cast<std::uint32_t>(XXH64(content.data(), content.size(), 0))});
    return at;
  }
  std::size_t skippable(const std::string& payload, std::uint32_t magic = 0x184D2A50) {
    return add(word(magic) + word(static_cast<std::uint32_t>(payload.size())) + payload, "");
  }

  struct Entry {
    std::uint32_t stored = 0;
    std::uint32_t content = 0;
    std::uint32_t checksum = 0;
  };
  /// To be changed before finish().
  std::vector<Entry>& entries() { return entries_; }

  /// Adds the seek table; returns where it is in the file.
  std::size_t finish(Checksums checksums = Checksums::None) {
    const std::size_t at = bytes_.size();
    std::string table;
    for (const Entry& entry : entries_) {
      table += word(entry.stored) + word(entry.content);
      if (checksums == Checksums::InTable) table += word(entry.checksum);
    }
    bytes_ += word(0x184D2A5E) + word(static_cast<std::uint32_t>(table.size() + 9)) + table +
              word(static_cast<std::uint32_t>(entries_.size())) +
              std::string(1, checksums == Checksums::InTable ? '\x80' : '\0') + word(0x8F92EAB1);
    return at;
  }

  void put8(std::size_t at, unsigned char value) { bytes_[at] = static_cast<char>(value); }
  void put32(std::size_t at, std::uint32_t value) { std::memcpy(bytes_.data() + at, &value, sizeof value); }
  void append(const std::string& bytes) { bytes_ += bytes; }
  void truncate(std::size_t length) { bytes_.resize(length); }
  [[nodiscard]] std::size_t end() const { return bytes_.size(); }

  [[nodiscard]] const std::string& disk() const { return disk_; }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }
  [[nodiscard]] std::unique_ptr<HostFile> file() const {
    return MemoryFile::containing(std::as_bytes(std::span(bytes_)), "disk.zst", Access::ReadOnly);
  }

  /// A frame of `blocks` RLE blocks of 128 KiB each, that does not state its size: 4 bytes for each.
  static std::string bomb(std::size_t blocks) {
    std::string frame = word(0xFD2FB528) + std::string("\x00\x58", 2);
    for (std::size_t n = 0; n < blocks; ++n) {
      const std::uint32_t head = (128u << 10) << 3 | 1u << 1 | (n + 1 == blocks ? 1 : 0);
      frame += word(head).substr(0, 3) + "r";
    }
    return frame;
  }
  static std::string word(std::uint32_t value) { return {reinterpret_cast<const char*>(&value), sizeof value}; }

 private:
  std::string bytes_;
  std::string disk_;
  std::vector<Entry> entries_;
};

}  // namespace flatimg::test
