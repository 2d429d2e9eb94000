// Builds small qcow images (version 1) in memory, byte by byte and without the engine's help, with and without Xen's
// extension, so that tests can damage any field.
//
// A fresh image is: header, L1 table, the L2 table of L1 entry 0 at the next cluster.
#pragma once

#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "base/endian.h"
#include "support/memory_file.h"

namespace flatimg::test {

struct Qcow1Shape {
  unsigned cluster_bits = 12;
  unsigned l2_bits = 9;
  std::uint64_t size = 8u << 20;
  bool xen = false;             // its extension, and the L1 table at byte 4096
  std::uint32_t xen_flags = 3;  // sparse, L1 big-endian
  std::uint32_t clusters_at_once = 1;
  std::string backing = "";
};

class Qcow1Builder {
 public:
  explicit Qcow1Builder(const Qcow1Shape& shape = {}) : shape_(shape), cluster_(std::size_t{1} << shape.cluster_bits) {
    const std::size_t head = shape_.xen ? 64 : 48;
    const std::size_t behind_name = head + shape_.backing.size();
    l1_table_ = shape_.xen ? 4096 : (behind_name + 7) / 8 * 8;
    const std::uint64_t span = std::uint64_t{cluster_} << shape.l2_bits;
    l1_entries_ = (shape_.size + span - 1) / span;
    bytes_.resize(l1_table_ + (l1_entries_ * 8 + 511) / 512 * 512);
    write_header(head);
    l2_table_ = add(l2_bytes(), cluster_);
    set_l1(0, l2_table_);
  }

  // --- places, as host offsets ---
  [[nodiscard]] std::uint64_t cluster_size() const { return cluster_; }
  [[nodiscard]] std::uint64_t l1_table() const { return l1_table_; }
  [[nodiscard]] std::uint64_t l1_entries() const { return l1_entries_; }
  [[nodiscard]] std::uint64_t l2_table() const { return l2_table_; }
  [[nodiscard]] std::size_t l2_bytes() const { return std::size_t{8} << shape_.l2_bits; }
  /// The entry of a guest cluster of the first L2 table.
  [[nodiscard]] std::uint64_t l2_entry(std::uint64_t guest_cluster) const { return l2_table_ + guest_cluster * 8; }
  [[nodiscard]] std::uint64_t end() const { return bytes_.size(); }

  // --- bytes ---
  void put8(std::uint64_t at, std::uint8_t value) { bytes_[at] = static_cast<std::byte>(value); }
  void put32(std::uint64_t at, std::uint32_t value) { store_be(std::span(bytes_), at, value); }
  void put64(std::uint64_t at, std::uint64_t value) { store_be(std::span(bytes_), at, value); }
  [[nodiscard]] std::uint64_t get64(std::uint64_t at) const { return load_be<std::uint64_t>(std::span(bytes_), at); }
  [[nodiscard]] std::uint32_t get32(std::uint64_t at) const { return load_be<std::uint32_t>(std::span(bytes_), at); }
  void put_bytes(std::uint64_t at, std::span<const std::byte> bytes) {
    std::memcpy(&bytes_[at], bytes.data(), bytes.size());
  }
  void resize(std::uint64_t size) { bytes_.resize(size); }
  [[nodiscard]] const std::vector<std::byte>& bytes() const { return bytes_; }

  /// In the byte order that the flags tell.
  void set_l1(std::uint64_t index, std::uint64_t table) {
    const bool little = shape_.xen && (shape_.xen_flags & 2) == 0;
    put64(l1_table_ + 8 * index, little ? byte_swapped(table) : table);
  }

  // --- space ---
  std::uint64_t add(std::size_t length, std::size_t alignment, std::byte content = std::byte{0}) {
    const std::uint64_t at = (bytes_.size() + alignment - 1) / alignment * alignment;
    bytes_.resize(at);
    bytes_.resize(at + length, content);
    return at;
  }
  /// Gives a guest cluster of the first L2 table a new data cluster; its host offset.
  std::uint64_t add_data(std::uint64_t guest_cluster, std::byte content = std::byte{0x5a}) {
    const std::uint64_t at = add(cluster_, cluster_, content);
    put64(l2_entry(guest_cluster), at);
    return at;
  }
  /// The same with a compressed stream, right at the end of the file.
  std::uint64_t add_stream(std::uint64_t guest_cluster, std::span<const std::byte> stream) {
    const std::uint64_t at = add(stream.size(), 1);
    put_bytes(at, stream);
    put64(l2_entry(guest_cluster), compressed_entry(at, stream.size()));
    return at;
  }
  [[nodiscard]] std::uint64_t compressed_entry(std::uint64_t at, std::uint64_t length) const {
    return std::uint64_t{1} << 63 | length << (63 - shape_.cluster_bits) | at;
  }

  [[nodiscard]] std::unique_ptr<MemoryFile> file() const { return MemoryFile::containing(bytes_); }
  void save(const std::string& path) const {
    std::ofstream(path, std::ios::binary | std::ios::trunc)
        .write(reinterpret_cast<const char*>(bytes_.data()), static_cast<std::streamsize>(bytes_.size()));
  }

 private:
  void write_header(std::size_t head) {
    put32(0, 0x514649fb);
    put32(4, 1);
    if (!shape_.backing.empty()) {
      put64(8, head);
      put32(16, static_cast<std::uint32_t>(shape_.backing.size()));
      put_bytes(head, std::as_bytes(std::span(shape_.backing)));
    }
    put64(24, shape_.size);
    put8(32, static_cast<std::uint8_t>(shape_.cluster_bits));
    put8(33, static_cast<std::uint8_t>(shape_.l2_bits));
    put64(40, l1_table_);
    if (!shape_.xen) return;
    put32(48, 0x58454efb);
    put32(56, shape_.clusters_at_once);
    put32(60, shape_.xen_flags);
  }

  Qcow1Shape shape_;
  std::size_t cluster_;
  std::vector<std::byte> bytes_;
  std::uint64_t l1_table_ = 0;
  std::uint64_t l1_entries_ = 0;
  std::uint64_t l2_table_ = 0;
};

}  // namespace flatimg::test
