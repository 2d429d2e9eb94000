// Damage by overlapping: each kind of pointer in a qcow2 image led to each kind of structure that belongs to another
// one.
//
// The numbers due for each pair are in qcow2_overlaps_due.h. Most pointers destroy what they pointed to before as well.
#pragma once

#include <array>
#include <map>

#include "support/qcow2_damage.h"

namespace flatimg::test {

/// The structures of one image that has everything. Their places are host offsets.
struct FullImage {
  std::uint64_t compressed = 0;
  std::uint64_t snapshot_l1 = 0;
  std::uint64_t bitmap_directory = 0;
  std::uint64_t bitmap_table = 0;
  std::uint64_t bitmap = 0;
  std::uint64_t bitmaps_extension = 0;  // where the header names the directory
};

/// Adds a compressed cluster, a snapshot and a bitmap to an image with data in guest clusters 0 to 2.
inline FullImage fill(Qcow2Builder& image) {
  FullImage full;
  full.compressed = image.add_cluster();
  image.put64(image.l2_entry(5), image.compressed_entry(full.compressed, 0));
  image.add_snapshots(1);
  image.set_refcount(full.compressed / image.cluster_size(), 2);
  full.snapshot_l1 = image.get64(snapshot_table(image));
  full.bitmap_directory = image.end();
  full.bitmaps_extension = image.extensions_end() + 8 + 16;
  add_bitmap(image);
  full.bitmap_table = image.get64(full.bitmap_directory);
  full.bitmap = image.get64(full.bitmap_table) & qcow2::kOffsetMask;
  return full;
}

inline const std::vector<std::string>& structures() {
  static const std::vector<std::string> names{"the header",           "the refcount table", "the refcount block",
                                              "the L1 table",         "the L2 table",       "data",
                                              "compressed data",      "the snapshot table", "a snapshot's L1 table",
                                              "the bitmap directory", "a bitmap table",     "a bitmap"};
  return names;
}

inline std::uint64_t place_of(const Qcow2Builder& image, const FullImage& full, const std::string& structure) {
  const std::map<std::string, std::uint64_t> places{
      {"the header", 0},
      {"the refcount table", image.refcount_table()},
      {"the refcount block", image.refcount_block()},
      {"the L1 table", image.l1_table()},
      {"the L2 table", image.l2_table()},
      {"data", data_cluster(image, 1) * image.cluster_size()},
      {"compressed data", full.compressed},
      {"the snapshot table", snapshot_table(image)},
      {"a snapshot's L1 table", full.snapshot_l1},
      {"the bitmap directory", full.bitmap_directory},
      {"a bitmap table", full.bitmap_table},
      {"a bitmap", full.bitmap},
  };
  return places.at(structure);
}

/// The pointers, by what they should point to.
inline void lead(Qcow2Builder& image, const FullImage& full, const std::string& pointer, std::uint64_t to) {
  const std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> words{
      {"an L1 entry", {image.l1_table() + 8, to | qcow2::kCopied}},
      {"an L2 entry", {image.l2_entry(9), to | qcow2::kCopied}},
      {"a zero entry", {image.l2_entry(9), to | qcow2::kCopied | qcow2::kZeroFlag}},
      {"a compressed entry", {image.l2_entry(9), image.compressed_entry(to, 1)}},
      {"a refcount table entry", {image.refcount_table() + 8, to}},
      {"the L1 pointer", {40, to}},
      {"the refcount table pointer", {48, to}},
      {"the snapshot table pointer", {64, to}},
      {"a snapshot's L1 pointer", {snapshot_table(image), to}},
      {"the bitmap directory pointer", {full.bitmaps_extension, to}},
      {"a bitmap table pointer", {full.bitmap_directory, to}},
      {"a bitmap table entry", {full.bitmap_table, to}},
  };
  const auto& [at, word] = words.at(pointer);
  image.put64(at, word);
}

inline const std::vector<std::string>& pointers() {
  static const std::vector<std::string> names{"an L1 entry",
                                              "an L2 entry",
                                              "a zero entry",
                                              "a compressed entry",
                                              "a refcount table entry",
                                              "the L1 pointer",
                                              "the refcount table pointer",
                                              "the snapshot table pointer",
                                              "a snapshot's L1 pointer",
                                              "the bitmap directory pointer",
                                              "a bitmap table pointer",
                                              "a bitmap table entry"};
  return names;
}

inline Damage overlap(const std::string& pointer, const std::string& structure) {
  Damage damage;
  damage.name = pointer + " led to " + structure;
  damage.shape = damage_shape::kBitmaps;
  damage.inflict = [pointer, structure](Qcow2Builder& image) {
    const FullImage full = fill(image);
    lead(image, full, pointer, place_of(image, full, structure));
  };
  return damage;
}

}  // namespace flatimg::test
