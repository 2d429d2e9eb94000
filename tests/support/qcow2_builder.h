// Builds small qcow2 images in memory, byte by byte and without the engine's help, so that tests can damage any field.
//
// A fresh image is: cluster 0 header, 1 refcount table, 2 refcount block, 3 L1 table, 4 the L2 table of L1 entry 0. All
// counters are right and all COPIED flags set; what a test changes afterwards is its own affair.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "base/endian.h"
#include "host/posix_file.h"
#include "qcow2/header.h"
#include "qcow2/layout.h"
#include "qcow2/refcount_block.h"

namespace flatimg::test {

/// The bytes as a file without a name.
inline std::unique_ptr<HostFile> file_in_memory(std::span<const std::byte> bytes) {
  Descriptor descriptor(::memfd_create("image", MFD_CLOEXEC));
  if (!descriptor.valid() || ::ftruncate(descriptor.get(), static_cast<off_t>(bytes.size())) != 0) std::abort();
  auto file = adopt_host_file(std::move(descriptor), "image", Access::ReadWrite);
  if (!file || !(*file)->write(HostOffset(), bytes)) std::abort();
  return std::move(*file);
}

struct Qcow2Shape {
  std::uint32_t version = 3;
  unsigned cluster_bits = 12;
  unsigned refcount_order = 4;
  std::uint64_t size = 8u << 20;
  std::uint64_t incompatible = 0;
  std::uint64_t autoclear = 0;
  std::uint32_t l1_entries = 0;  // 0: what the size needs
};

class Qcow2Builder {
 public:
  explicit Qcow2Builder(const Qcow2Shape& shape = {}) : shape_(shape), cluster_(std::size_t{1} << shape.cluster_bits) {
    bytes_.resize(4 * cluster_);
    const std::uint64_t span = cluster_ * (cluster_ / entry_bytes());
    if (shape_.l1_entries == 0) shape_.l1_entries = static_cast<std::uint32_t>((shape_.size + span - 1) / span);
    write_header();
    put64(refcount_table(), refcount_block());
    for (std::uint64_t cluster = 0; cluster < 4; ++cluster) set_refcount(cluster, 1);
    l2_table_ = add_cluster();
    put64(l1_table(), l2_table_ | qcow2::kCopied);
  }

  // --- places, as host offsets ---
  [[nodiscard]] std::uint64_t cluster_size() const { return cluster_; }
  [[nodiscard]] std::uint64_t refcount_table() const { return cluster_; }
  [[nodiscard]] std::uint64_t refcount_block() const { return 2 * cluster_; }
  [[nodiscard]] std::uint64_t l1_table() const { return 3 * cluster_; }
  [[nodiscard]] std::uint64_t l2_table() const { return l2_table_; }
  /// The L2 entry of a guest cluster of the first L2 table.
  [[nodiscard]] std::uint64_t l2_entry(std::uint64_t guest_cluster) const {
    return l2_table_ + guest_cluster * entry_bytes();
  }
  [[nodiscard]] std::uint64_t end() const { return bytes_.size(); }
  [[nodiscard]] std::uint32_t l1_entries() const { return shape_.l1_entries; }
  /// Where the next header extension goes.
  [[nodiscard]] std::uint64_t extensions_end() const { return extensions_end_; }

  // --- bytes ---
  void put32(std::uint64_t at, std::uint32_t value) { store_be(std::span(bytes_), at, value); }
  void put64(std::uint64_t at, std::uint64_t value) { store_be(std::span(bytes_), at, value); }
  [[nodiscard]] std::uint64_t get64(std::uint64_t at) const { return load_be<std::uint64_t>(std::span(bytes_), at); }
  void put_text(std::uint64_t at, std::string_view text) { std::memcpy(&bytes_[at], text.data(), text.size()); }
  void resize(std::uint64_t size) { bytes_.resize(size); }
  [[nodiscard]] const std::vector<std::byte>& bytes() const { return bytes_; }

  // --- clusters ---
  /// A new cluster at the end with counter 1; its host offset.
  std::uint64_t add_cluster(std::byte content = std::byte{0}) {
    const std::uint64_t at = (bytes_.size() + cluster_ - 1) / cluster_ * cluster_;
    bytes_.resize(at);
    bytes_.resize(at + cluster_, content);
    set_refcount(at / cluster_, 1);
    return at;
  }
  /// Gives a guest cluster of the first L2 table a new data cluster; its host offset.
  std::uint64_t add_data(std::uint64_t guest_cluster) {
    const std::uint64_t at = add_cluster(std::byte{0x5a});
    put64(l2_entry(guest_cluster), at | qcow2::kCopied);
    if (extended()) put64(l2_entry(guest_cluster) + 8, qcow2::kAllAllocatedBitmap);
    return at;
  }
  /// An L2 entry for a compressed stream.
  [[nodiscard]] std::uint64_t compressed_entry(std::uint64_t at, std::uint64_t more_sectors) const {
    return qcow2::kCompressed | at | more_sectors << (70 - shape_.cluster_bits);
  }
  void set_refcount(std::uint64_t cluster, std::uint64_t count) {
    qcow2::write_counter(std::span(bytes_).subspan(refcount_block(), cluster_), cluster, shape_.refcount_order, count);
  }
  [[nodiscard]] std::uint64_t refcount(std::uint64_t cluster) const {
    return qcow2::read_counter(std::span(bytes_).subspan(refcount_block(), cluster_), cluster, shape_.refcount_order);
  }

  // --- snapshots ---
  /// Takes snapshots: an own L1 table for each, counters raised and COPIED cleared as the specification says. Call
  /// once.
  void add_snapshots(std::uint32_t count) {
    const std::uint64_t table = add_cluster();
    put32(60, count);
    put64(64, table);
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint64_t l1 = add_cluster();
      std::memcpy(&bytes_[l1], &bytes_[l1_table()], shape_.l1_entries * 8);
      write_snapshot(table + i * kSnapshotEntry, l1, i + 1);
    }
    share_clusters(count);
  }
  static constexpr std::uint64_t kSnapshotEntry = 72;

  /// Appends a header extension behind the ones added before.
  void add_extension(std::uint32_t type, std::string_view payload) {
    put32(extensions_end_, type);
    put32(extensions_end_ + 4, static_cast<std::uint32_t>(payload.size()));
    put_text(extensions_end_ + 8, payload);
    extensions_end_ += 8 + (payload.size() + 7) / 8 * 8;
  }

  [[nodiscard]] std::unique_ptr<HostFile> file() const { return file_in_memory(bytes_); }
  [[nodiscard]] Result<qcow2::Header> header(qcow2::HeaderUse use = qcow2::HeaderUse::Open) const {
    std::vector<std::byte> area = bytes_;
    area.resize(std::max<std::size_t>(area.size(), cluster_));
    return qcow2::parse_header(std::span(area).first(cluster_), ByteCount(bytes_.size()), use);
  }
  void save(const std::string& path) const {
    std::ofstream(path, std::ios::binary | std::ios::trunc)
        .write(reinterpret_cast<const char*>(bytes_.data()), static_cast<std::streamsize>(bytes_.size()));
  }

 private:
  [[nodiscard]] bool extended() const { return (shape_.incompatible & qcow2::incompatible::kExtendedL2) != 0; }
  [[nodiscard]] std::uint64_t entry_bytes() const { return extended() ? 16 : 8; }

  void write_header() {
    put32(0, qcow2::kMagic);
    put32(4, shape_.version);
    put32(20, shape_.cluster_bits);
    put64(24, shape_.size);
    put32(36, shape_.l1_entries);
    put64(40, l1_table());
    put64(48, refcount_table());
    put32(56, 1);
    extensions_end_ = 72;
    if (shape_.version < 3) return;
    put64(72, shape_.incompatible);
    put64(88, shape_.autoclear);
    put32(96, shape_.refcount_order);
    put32(100, 112);
    extensions_end_ = 112;
  }

  void write_snapshot(std::uint64_t at, std::uint64_t l1, std::uint32_t number) {
    put64(at, l1);
    put32(at + 8, shape_.l1_entries);
    put32(at + 12, 1u << 16 | 4);  // lengths of id and name
    put32(at + 36, 24);
    put64(at + 48, shape_.size);
    put_text(at + 64, std::to_string(number % 10) + "snap");
  }

  void share_clusters(std::uint32_t snapshots) {
    for (std::uint64_t i = 0; i < cluster_ / entry_bytes(); ++i) share(l2_entry(i), snapshots);
    share(l1_table(), snapshots);
  }
  void share(std::uint64_t entry_at, std::uint32_t snapshots) {
    const std::uint64_t word = get64(entry_at);
    if ((word & qcow2::kOffsetMask) == 0 || (word & qcow2::kCompressed) != 0) return;
    put64(entry_at, word & ~qcow2::kCopied);
    const std::uint64_t cluster = (word & qcow2::kOffsetMask) / cluster_;
    set_refcount(cluster, refcount(cluster) + snapshots);
  }

  Qcow2Shape shape_;
  std::size_t cluster_;
  std::vector<std::byte> bytes_;
  std::uint64_t l2_table_ = 0;
  std::uint64_t extensions_end_ = 0;
};

}  // namespace flatimg::test
