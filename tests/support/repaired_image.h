// What holds for a damaged image however often its repair was begun: the guest reads what it read before, and a repair
// that is not disturbed ends as it would have ended at first.
#pragma once

#include <gtest/gtest.h>

#include "qcow2/repair.h"
#include "support/guest_readings.h"
#include "support/memory_file.h"
#include "support/qcow2_damage_groups.h"

namespace flatimg::test {

class RepairedImage {
 public:
  explicit RepairedImage(const Damage& damage)
      : damage_(damage), start_(damaged_image(damage).bytes()), disk_(GuestReader(start_).disk()) {}

  [[nodiscard]] std::unique_ptr<MemoryFile> file() const { return MemoryFile::containing(start_); }

  void expect_same_disk(const MemoryFile& file) const {
    const std::vector<std::byte> bytes = file.contents();
    EXPECT_TRUE(GuestReader(bytes).disk() == disk_) << "the guest reads something else";
  }
  /// Repairs the file, which is in some state that a repair left behind.
  void expect_repairable(MemoryFile& file) const {
    expect_same_disk(file);
    const auto repaired = qcow2::repair(file, RepairScope::All);
    ASSERT_TRUE(repaired.has_value()) << repaired.error().text;
    expect_same_disk(file);
    EXPECT_LE(repaired->left.corruptions, damage_.left.corruptions);
    EXPECT_TRUE(!damage_.left.reason.empty() || repaired->left.leaks == 0);
    for (const std::string& sentence : repaired->left.sentences) {
      EXPECT_FALSE(damage_.left.reason.empty()) << sentence;
    }
  }

 private:
  const Damage& damage_;
  const std::vector<std::byte> start_;
  const std::vector<std::string> disk_;
};

/// Those whose repair writes; `stride` takes every n-th of the large groups.
inline std::vector<Damage> damages_worth_disturbing(std::size_t stride) {
  std::vector<Damage> some;
  std::size_t n = 0;
  for (Damage& damage : all_damages()) {
    const bool small = damage.shape.cluster_bits <= 12;
    const bool repaired = damage.corruptions > damage.left.corruptions || damage.leaks > damage.left.leaks;
    if (small && repaired && n++ % stride == 0) some.push_back(std::move(damage));
  }
  return some;
}

}  // namespace flatimg::test
