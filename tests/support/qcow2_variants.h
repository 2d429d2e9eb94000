// The same few kinds of damage in every shape of image: versions, cluster sizes, widths of the counters, extended
// entries. The verdicts are the same in all of them.
#pragma once

#include "support/qcow2_damages.h"

namespace flatimg::test {

struct NamedShape {
  std::string name;
  Qcow2Shape shape;
};

inline std::vector<NamedShape> shapes() {
  std::vector<NamedShape> all{
      {"version 2, clusters of 512 bytes", {.version = 2, .cluster_bits = 9, .size = 1u << 20}},
      {"version 2, clusters of 4 KiB", {.version = 2}},
      {"version 2, clusters of 64 KiB", {.version = 2, .cluster_bits = 16}},
      {"clusters of 512 bytes", {.cluster_bits = 9, .size = 1u << 20}},
      {"clusters of 1 KiB", {.cluster_bits = 10, .size = 1u << 20}},
      {"clusters of 64 KiB", {.cluster_bits = 16}},
      {"clusters of 512 KiB", {.cluster_bits = 19, .size = 64u << 20}},
      {"extended entries, clusters of 16 KiB", {.cluster_bits = 14, .incompatible = qcow2::incompatible::kExtendedL2}},
  };
  for (const unsigned order : {0u, 1u, 2u, 3u, 5u, 6u}) {
    all.push_back({"counters of " + std::to_string(1u << order) + " bits", damage_shape::with_order(order)});
  }
  return all;
}

inline std::vector<Damage> damages_of_every_shape() {
  using Image = Qcow2Builder;
  return {
      {"a leaked cluster", 0, 1, [](Image& image) { image.add_cluster(); }},
      {"a counter of 0", 2, 0, [](Image& image) { image.set_refcount(data_cluster(image, 1), 0); }},
      {"no counters at all", 11, 0, [](Image& image) { image.put64(image.refcount_table(), 0); }},
      {"a refcount block beyond the file", 1, 0,
       [](Image& image) { image.put64(image.refcount_table() + 8, image.end() + 64 * image.cluster_size()); }},
      {"a cluster used twice", 1, 0,
       [](Image& image) {
         image.put64(image.l2_entry(9), image.get64(image.l2_entry(1)));
         const std::uint64_t bitmap = image.get64(image.l2_entry(1) + 8);  // or another entry, where there is none
         if (bitmap == qcow2::kAllAllocatedBitmap) image.put64(image.l2_entry(9) + 8, bitmap);
       }},
      {"COPIED missing at data", 1, 0, [](Image& image) { flip(image, image.l2_entry(1), qcow2::kCopied); }},
      {"COPIED missing at an L2 table", 1, 0, [](Image& image) { flip(image, image.l1_table(), qcow2::kCopied); }},
      unrepaired({"data beyond the file", 2, 0,
                  [](Image& image) {
                    image.put64(image.l2_entry(2), (image.end() + 8 * image.cluster_size()) | qcow2::kCopied);
                    image.set_refcount(7, 0);
                  }},
                 1, 0, why::kWhere),
      unrepaired({"reserved bits in an L1 entry", 1, 0, [](Image& image) { flip(image, image.l1_table(), 2); }}, 1, 0,
                 why::kBits),
  };
}

inline std::vector<Damage> variants() {
  std::vector<Damage> all;
  for (const NamedShape& shape : shapes()) {
    for (Damage& damage : damages_of_every_shape()) {
      damage.name += ", " + shape.name;
      damage.shape = shape.shape;
      all.push_back(std::move(damage));
    }
  }
  return all;
}

}  // namespace flatimg::test
