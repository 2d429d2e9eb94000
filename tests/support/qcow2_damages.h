// Small images, sound and damaged, each with the verdict that is due: `qemu-img check` 7.2 gives the same numbers
// (tests/interop compares them where it is installed).
#pragma once

#include "support/qcow2_damage.h"

namespace flatimg::test {

/// Why a repair leaves damage. Nothing is guessed, and nothing is written that could be data.
namespace why {
inline constexpr const char* kWhere = "nobody knows where the data is";
inline constexpr const char* kBits = "nobody knows what the entry means";
inline constexpr const char* kHeader = "the header is read as a table, and says something else after each change";
inline constexpr const char* kLost = "a table is lost; what it may name stays counted, so that it can still be saved";
inline constexpr const char* kGarbage = "something else is read as a table";
inline constexpr const char* kTableAndData = "a table that is data, too, is not written";
inline constexpr const char* kBitmap = "nobody knows which bits are meant; QEMU does not open the image either";
inline constexpr const char* kDataFile = "the image contradicts itself";
}  // namespace why

inline std::vector<Damage> sound_images() {
  using Image = Qcow2Builder;
  return {
      {"nothing", 0, 0, [](Image&) {}},
      {"nothing in version 2", 0, 0, [](Image&) {}, damage_shape::kV2},
      {"nothing with extended L2 entries", 0, 0, [](Image&) {}, damage_shape::kExtended},
      {"nothing with counters of 1 bit", 0, 0, [](Image&) {}, damage_shape::with_order(0)},
      {"nothing with counters of 4 bits", 0, 0, [](Image&) {}, damage_shape::with_order(2)},
      {"nothing with counters of 64 bits", 0, 0, [](Image&) {}, damage_shape::with_order(6)},
      {"snapshots", 0, 0, [](Image& image) { image.add_snapshots(3); }},
      {"a bitmap", 0, 0, [](Image& image) { add_bitmap(image); }, damage_shape::kBitmaps},
      {"a data file", 0, 0, [](Image& image) { image.put64(image.l2_entry(0), qcow2::kCopied); },
       damage_shape::kDataFile},
      {"clusters in falling order", 0, 0,
       [](Image& image) {
         const std::uint64_t first = image.get64(image.l2_entry(0));
         image.put64(image.l2_entry(0), image.get64(image.l2_entry(2)));
         image.put64(image.l2_entry(2), first);
       }},
      {"two compressed clusters in one", 0, 0,
       [](Image& image) {
         const std::uint64_t at = image.add_cluster();
         image.set_refcount(at / image.cluster_size(), 2);
         image.put64(image.l2_entry(5), image.compressed_entry(at, 0));
         image.put64(image.l2_entry(6), image.compressed_entry(at + 300, 2));
       }},
      {"an incomplete last cluster", 0, 0, [](Image& image) { image.resize(image.end() - 700); }},
  };
}

inline std::vector<Damage> damaged_counters() {
  using Image = Qcow2Builder;
  return {
      {"a counter too high", 1, 1, [](Image& image) { image.set_refcount(data_cluster(image, 1), 2); }},
      {"a leaked cluster", 0, 1, [](Image& image) { image.add_cluster(); }},
      {"two leaked clusters with holes", 0, 2,
       [](Image& image) {
         image.add_cluster();
         image.set_refcount(image.add_cluster() / image.cluster_size(), 0);
         image.add_cluster();
       }},
      {"a counter of 0 for data", 2, 0, [](Image& image) { image.set_refcount(data_cluster(image, 1), 0); }},
      {"a counter of 0 for the header", 1, 0, [](Image& image) { image.set_refcount(0, 0); }},
      {"a counter of 0 for the L2 table", 2, 0, [](Image& image) { image.set_refcount(4, 0); }},
      {"a counter of 0 for the refcount block", 1, 0, [](Image& image) { image.set_refcount(2, 0); }},
      {"a counter of 2 for the L2 table", 1, 1, [](Image& image) { image.set_refcount(4, 2); }},
      {"a counter of 1 bit too low", 2, 0, [](Image& image) { image.set_refcount(data_cluster(image, 1), 0); },
       damage_shape::with_order(0)},
      {"a counter of 64 bits too high", 1, 1,
       [](Image& image) { image.set_refcount(data_cluster(image, 1), ~std::uint64_t{0}); },
       damage_shape::with_order(6)},
      {"no refcount block", 11, 0, [](Image& image) { image.put64(image.refcount_table(), 0); }},
      {"a misaligned refcount block", 1, 0, [](Image& image) { image.put64(image.refcount_table() + 8, 512); }},
      {"the only refcount block misaligned", 1, 0,
       [](Image& image) { image.put64(image.refcount_table(), image.refcount_block() + 512); }},
      {"a refcount block beyond the file", 1, 0,
       [](Image& image) { image.put64(image.refcount_table() + 8, image.end() + 64 * image.cluster_size()); }},
      {"reserved bits in the refcount table", 1, 0, [](Image& image) { image.put64(image.refcount_table() + 8, 5); }},
      {"reserved bits at a refcount block", 1, 1, [](Image& image) { flip(image, image.refcount_table(), 4); }},
      {"a refcount block twice in the table", 2, 0,
       [](Image& image) { image.put64(image.refcount_table() + 8, image.refcount_block()); }},
      {"a refcount block that is data too", 2, 0,
       [](Image& image) { image.put64(image.l2_entry(9), image.refcount_block() | qcow2::kCopied); }},
      {"more references than 1 bit counts", 1, 0,
       [](Image& image) { image.put64(image.l2_entry(9), image.get64(image.l2_entry(1))); },
       damage_shape::with_order(0)},
      {"a snapshot that was not counted", 2, 0,
       [](Image& image) {
         image.add_snapshots(1);
         image.set_refcount(data_cluster(image, 2), 1);
       }},
  };
}

inline std::vector<Damage> damaged_entries() {
  using Image = Qcow2Builder;
  return {
      {"COPIED missing at data", 1, 0, [](Image& image) { flip(image, image.l2_entry(1), qcow2::kCopied); }},
      {"COPIED missing at an L2 table", 1, 0, [](Image& image) { flip(image, image.l1_table(), qcow2::kCopied); }},
      {"COPIED at shared data", 1, 0,
       [](Image& image) {
         image.add_snapshots(2);
         flip(image, image.l2_entry(1), qcow2::kCopied);
       }},
      {"COPIED at a compressed cluster", 1, 0,
       [](Image& image) {
         image.put64(image.l2_entry(5), image.compressed_entry(image.add_cluster(), 0) | qcow2::kCopied);
       }},
      {"COPIED at a shared preallocated zero cluster", 1, 1,
       [](Image& image) {
         flip(image, image.l2_entry(1), qcow2::kZeroFlag);
         image.set_refcount(data_cluster(image, 1), 2);
       }},
      {"a cluster used twice", 1, 0,
       [](Image& image) { image.put64(image.l2_entry(9), image.get64(image.l2_entry(1))); }},
      {"data in the L1 table", 1, 0,
       [](Image& image) { image.put64(image.l2_entry(9), image.l1_table() | qcow2::kCopied); }},
      unrepaired({"data at a misaligned place", 2, 0, [](Image& image) { flip(image, image.l2_entry(1), 512); }}, 1, 0,
                 why::kWhere),
      {"a preallocated zero cluster at a misaligned place", 2, 0,
       [](Image& image) { flip(image, image.l2_entry(1), 1024 | qcow2::kZeroFlag); }},
      unrepaired(
          {"data beyond the file", 2, 0,
           [](Image& image) { image.put64(image.l2_entry(9), (image.end() + image.cluster_size()) | qcow2::kCopied); }},
          1, 0, why::kWhere),
      unrepaired({"data right behind the file", 2, 0,
                  [](Image& image) { image.put64(image.l2_entry(9), image.end() | qcow2::kCopied); }},
                 1, 0, why::kWhere),
      unrepaired({"a file cut before its last cluster", 1, 0,
                  [](Image& image) { image.resize(image.end() - image.cluster_size()); }},
                 1, 0, why::kWhere),
      unrepaired({"a file cut in the L2 table", 3, 0, [](Image& image) { image.resize(image.l2_table() + 100); }}, 3, 0,
                 why::kWhere),
      unrepaired({"a compressed cluster beyond the file", 1, 0,
                  [](Image& image) { image.put64(image.l2_entry(9), image.compressed_entry(image.end() + 20480, 3)); }},
                 1, 0, why::kWhere),
      {"a compressed cluster partly beyond the file", 2, 0,
       [](Image& image) { image.put64(image.l2_entry(9), image.compressed_entry(image.end() - 300, 2)); }},
      unrepaired({"reserved bits in an L2 entry", 1, 0, [](Image& image) { flip(image, image.l2_entry(1), 2); }}, 1, 0,
                 why::kBits),
      unrepaired({"high reserved bits in an L2 entry", 1, 0,
                  [](Image& image) { flip(image, image.l2_entry(1), std::uint64_t{1} << 60); }},
                 1, 0, why::kBits),
      unrepaired({"reserved bits in an empty L2 entry", 1, 0, [](Image& image) { image.put64(image.l2_entry(9), 4); }},
                 1, 0, why::kBits),
      unrepaired(
          {"a zero cluster in version 2", 1, 0, [](Image& image) { image.put64(image.l2_entry(9), qcow2::kZeroFlag); },
           damage_shape::kV2, Theirs::Unseen},
          1, 0, why::kBits),
      unrepaired({"reserved bits in an L1 entry", 1, 0, [](Image& image) { flip(image, image.l1_table(), 2); }}, 1, 0,
                 why::kBits),
      unrepaired(
          {"only reserved bits in an L1 entry", 11, 0, [](Image& image) { image.put64(image.l1_table() + 8, 2); }}, 9,
          1, why::kHeader),
      unrepaired({"a misaligned L2 table", 65, 2, [](Image& image) { flip(image, image.l1_table(), 512); }}, 65, 2,
                 why::kLost),
      unrepaired({"an L2 table beyond the file", 2, 0,
                  [](Image& image) {
                    image.put64(image.l1_table() + 8, (image.end() + 8 * image.cluster_size()) | qcow2::kCopied);
                  }},
                 1, 0, why::kLost),
      {"an L2 table for two L1 entries", 4, 0,
       [](Image& image) { image.put64(image.l1_table() + 8, image.get64(image.l1_table())); }},
      unrepaired(
          {"the header as an L2 table", 10, 0, [](Image& image) { image.put64(image.l1_table() + 8, qcow2::kCopied); }},
          8, 1, why::kHeader),
      unrepaired({"the L1 table as an L2 table", 2, 0,
                  [](Image& image) { image.put64(image.l1_table() + 8, image.l1_table() | qcow2::kCopied); }},
                 4, 0, why::kTableAndData),
      unrepaired(
          {"an L1 table on the refcount table", 6, 5, [](Image& image) { image.put64(40, image.refcount_table()); }}, 2,
          0, why::kGarbage),
      unrepaired({"an L1 table beyond the file", 1, 5,
                  [](Image& image) { image.put64(40, image.end() + 16 * image.cluster_size()); }},
                 1, 5, why::kLost),
  };
}

inline std::vector<Damage> damaged_subclusters() {
  using Image = Qcow2Builder;
  return {
      unrepaired(
          {"a subcluster both zero and allocated", 1, 0,
           [](Image& image) { flip(image, image.l2_entry(1) + 8, std::uint64_t{1} << 32); }, damage_shape::kExtended},
          1, 0, why::kBits),
      unrepaired({"subclusters allocated nowhere", 1, 0, [](Image& image) { image.put64(image.l2_entry(9) + 8, 3); },
                  damage_shape::kExtended},
                 1, 0, why::kBits),
      unrepaired({"a subcluster bitmap at a compressed cluster", 1, 1,
                  [](Image& image) {
                    image.put64(image.l2_entry(9), image.compressed_entry(image.add_cluster(), 0));
                    image.put64(image.l2_entry(9) + 8, 1);
                  },
                  damage_shape::kExtended},
                 1, 0, why::kBits),
      unrepaired({"subclusters at a misaligned place", 2, 0, [](Image& image) { flip(image, image.l2_entry(1), 512); },
                  damage_shape::kExtended},
                 1, 0, why::kWhere),
      {"zero subclusters without a cluster", 0, 0,
       [](Image& image) { image.put64(image.l2_entry(9) + 8, qcow2::kAllZeroBitmap); }, damage_shape::kExtended},
      {"reserved subcluster space that nothing uses", 0, 0, [](Image& image) { image.put64(image.l2_entry(1) + 8, 0); },
       damage_shape::kExtended},
  };
}

inline std::vector<Damage> damaged_parts() {
  using Image = Qcow2Builder;
  return {
      unrepaired({"a snapshot's L1 table at a misaligned place", 1, 5,
                  [](Image& image) {
                    image.add_snapshots(2);
                    flip(image, snapshot_table(image), 512);
                  }},
                 1, 5, why::kLost),
      unrepaired({"a snapshot's L1 table beyond the file", 1, 5,
                  [](Image& image) {
                    image.add_snapshots(2);
                    image.put64(snapshot_table(image), std::uint64_t{1} << 40);
                  }},
                 1, 5, why::kLost),
      unrepaired({"a snapshot's L1 table that is too large", 1, 5,
                  [](Image& image) {
                    image.add_snapshots(2);
                    image.put32(snapshot_table(image) + 8, 0x7fffffff);
                  }},
                 1, 5, why::kLost),
      {"a snapshot with little extra data", 1, 0,
       [](Image& image) {
         image.add_snapshots(1);
         image.put32(snapshot_table(image) + 36, 8);
       }},
      {"a bitmap whose bit was cleared", 0, 3, [](Image& image) { add_bitmap(image); }},
      unrepaired({"reserved bits in a bitmap table", 1, 1, [](Image& image) { add_bitmap(image, 2); },
                  damage_shape::kBitmaps, Theirs::CannotOpen},
                 1, 0, why::kBitmap),
      unrepaired({"a misaligned bitmap", 1, 1, [](Image& image) { add_bitmap(image, 512); }, damage_shape::kBitmaps,
                  Theirs::CannotOpen},
                 1, 0, why::kBitmap),
      unrepaired({"a compressed cluster with a data file", 1, 1,
                  [](Image& image) { image.put64(image.l2_entry(9), image.compressed_entry(image.add_cluster(), 0)); },
                  damage_shape::kDataFile},
                 1, 0, why::kDataFile),
      unrepaired(
          {"snapshots with a data file", 1, 0, [](Image& image) { image.add_snapshots(1); }, damage_shape::kDataFile},
          1, 0, why::kDataFile),
      {"COPIED missing with a data file", 1, 0,
       [](Image& image) { image.put64(image.l2_entry(1), image.cluster_size()); }, damage_shape::kDataFile},
  };
}

}  // namespace flatimg::test
