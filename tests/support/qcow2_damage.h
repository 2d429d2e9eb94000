// What a damaged image of the tests is, and the small steps by which one is made.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "support/qcow2_builder.h"

namespace flatimg::test {

/// What qemu-img makes of an image.
enum class Theirs {
  Same,
  OtherNumbers,  // finds errors as well, and counts them differently
  CannotOpen,    // refuses it before it looks for damage
  Unseen,        // its check finds nothing, although reading the image fails
};

/// What `-r all` cannot put right, and why.
struct Left {
  std::uint64_t corruptions = 0;
  std::uint64_t leaks = 0;
  std::string reason = {};
};

struct Damage {
  std::string name;
  std::uint64_t corruptions = 0;
  std::uint64_t leaks = 0;
  std::function<void(Qcow2Builder&)> inflict;
  Qcow2Shape shape = {};
  Theirs theirs = Theirs::Same;
  Left left = {};
};

/// A damage that a repair does not put right.
inline Damage unrepaired(Damage damage, std::uint64_t corruptions, std::uint64_t leaks, std::string reason) {
  damage.left = {corruptions, leaks, std::move(reason)};
  return damage;
}

/// The image with guest clusters 0, 1 and 2 allocated, and the damage.
inline Qcow2Builder damaged_image(const Damage& damage) {
  Qcow2Builder image(damage.shape);
  if ((damage.shape.incompatible & qcow2::incompatible::kDataFile) == 0) {
    for (const std::uint64_t guest : {0u, 1u, 2u}) image.add_data(guest);
  } else {
    image.add_extension(qcow2::extension::kDataFile, "data.raw");
  }
  damage.inflict(image);
  return image;
}

namespace damage_shape {
inline constexpr Qcow2Shape kV2{.version = 2};
inline constexpr Qcow2Shape kExtended{.cluster_bits = 16, .incompatible = qcow2::incompatible::kExtendedL2};
inline constexpr Qcow2Shape kDataFile{.incompatible = qcow2::incompatible::kDataFile};
inline constexpr Qcow2Shape kBitmaps{.autoclear = qcow2::autoclear::kBitmaps};
inline constexpr Qcow2Shape with_order(unsigned order) { return {.refcount_order = order}; }
}  // namespace damage_shape

// --- what is done to an image ---------------------------------------------------------------------------------------

inline void flip(Qcow2Builder& image, std::uint64_t at, std::uint64_t bits) { image.put64(at, image.get64(at) ^ bits); }
inline std::uint64_t data_cluster(const Qcow2Builder& image, std::uint64_t guest) {
  return (image.get64(image.l2_entry(guest)) & qcow2::kOffsetMask) / image.cluster_size();
}
inline void add_bitmap(Qcow2Builder& image, std::uint64_t table_entry_flags = 0) {
  const std::uint64_t directory = image.add_cluster();
  const std::uint64_t table = image.add_cluster();
  const std::uint64_t bits = image.add_cluster();
  std::string payload(24, '\0');
  const std::span<std::byte> words(reinterpret_cast<std::byte*>(payload.data()), payload.size());
  store_be(words, 0, std::uint32_t{1});
  store_be(words, 8, std::uint64_t{32});
  store_be(words, 16, directory);
  image.add_extension(qcow2::extension::kBitmaps, payload);
  image.put64(directory, table);
  image.put32(directory + 8, 1);
  image.put32(directory + 12, 2);           // enabled
  image.put32(directory + 16, 0x01100002);  // dirty tracking, 64 KiB, a name of two letters
  image.put_text(directory + 24, "b0");
  image.put64(table, bits | table_entry_flags);
}
inline std::uint64_t snapshot_table(const Qcow2Builder& image) { return image.get64(64); }

}  // namespace flatimg::test
