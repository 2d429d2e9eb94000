// All damaged images of the tests, in groups.
#pragma once

#include "support/qcow2_damages.h"
#include "support/qcow2_overlaps_due.h"
#include "support/qcow2_variants.h"

namespace flatimg::test {

struct DamageGroup {
  std::string name;
  std::vector<Damage> damages;
};
inline void PrintTo(const DamageGroup& group, std::ostream* out) { *out << group.name; }

inline std::vector<DamageGroup> damage_groups() {
  return {{"sound", sound_images()},      {"counters", damaged_counters()},
          {"entries", damaged_entries()}, {"subclusters", damaged_subclusters()},
          {"parts", damaged_parts()},     {"overlaps", overlaps()},
          {"variants", variants()}};
}

inline std::vector<Damage> all_damages() {
  std::vector<Damage> all;
  for (DamageGroup& group : damage_groups()) {
    for (Damage& damage : group.damages) all.push_back(std::move(damage));
  }
  return all;
}

}  // namespace flatimg::test
