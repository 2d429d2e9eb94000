// The verdicts that are due when pointers are led to other structures (qcow2_overlaps.h).
#pragma once

#include "support/qcow2_damages.h"
#include "support/qcow2_overlaps.h"

namespace flatimg::test {

struct OverlapDue {
  const char* pointer;
  const char* structure;
  std::uint64_t corruptions;
  std::uint64_t leaks;
  Theirs theirs;
  std::uint64_t corruptions_left;
  std::uint64_t leaks_left;
  const char* why;  // nullptr: nothing is left
};

inline const std::vector<OverlapDue>& overlaps_due() {
  static const std::vector<OverlapDue> due{
      {"an L1 entry", "the header", 16, 0, Theirs::Same, 12, 1, why::kGarbage},
      {"an L1 entry", "the refcount table", 4, 0, Theirs::Same, 0, 0, nullptr},
      {"an L1 entry", "the refcount block", 7, 0, Theirs::Same, 5, 0, why::kGarbage},
      {"an L1 entry", "the L1 table", 2, 0, Theirs::Same, 2, 0, why::kTableAndData},
      {"an L1 entry", "the L2 table", 6, 0, Theirs::Same, 0, 0, nullptr},
      {"an L1 entry", "data", 514, 0, Theirs::Same, 512, 0, why::kGarbage},
      {"an L1 entry", "compressed data", 2, 0, Theirs::Same, 0, 0, nullptr},
      {"an L1 entry", "the snapshot table", 9, 0, Theirs::Same, 6, 0, why::kGarbage},
      {"an L1 entry", "a snapshot's L1 table", 3, 0, Theirs::Same, 1, 0, why::kTableAndData},
      {"an L1 entry", "the bitmap directory", 8, 0, Theirs::Same, 5, 0, why::kGarbage},
      {"an L1 entry", "a bitmap table", 3, 0, Theirs::Same, 0, 0, nullptr},
      {"an L1 entry", "a bitmap", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"an L2 entry", "the header", 0, 0, Theirs::Same, 0, 0, nullptr},
      {"an L2 entry", "the refcount table", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"an L2 entry", "the refcount block", 2, 0, Theirs::Same, 0, 0, nullptr},
      {"an L2 entry", "the L1 table", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"an L2 entry", "the L2 table", 2, 0, Theirs::Same, 1, 0, why::kTableAndData},
      {"an L2 entry", "data", 2, 0, Theirs::Same, 0, 0, nullptr},
      {"an L2 entry", "compressed data", 2, 0, Theirs::Same, 0, 0, nullptr},
      {"an L2 entry", "the snapshot table", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"an L2 entry", "a snapshot's L1 table", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"an L2 entry", "the bitmap directory", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"an L2 entry", "a bitmap table", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"an L2 entry", "a bitmap", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"a zero entry", "the header", 0, 0, Theirs::Same, 0, 0, nullptr},
      {"a zero entry", "the refcount table", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"a zero entry", "the refcount block", 2, 0, Theirs::Same, 0, 0, nullptr},
      {"a zero entry", "the L1 table", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"a zero entry", "the L2 table", 2, 0, Theirs::Same, 1, 0, why::kTableAndData},
      {"a zero entry", "data", 2, 0, Theirs::Same, 0, 0, nullptr},
      {"a zero entry", "compressed data", 2, 0, Theirs::Same, 0, 0, nullptr},
      {"a zero entry", "the snapshot table", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"a zero entry", "a snapshot's L1 table", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"a zero entry", "the bitmap directory", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"a zero entry", "a bitmap table", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"a zero entry", "a bitmap", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"a compressed entry", "the header", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"a compressed entry", "the refcount table", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"a compressed entry", "the refcount block", 2, 0, Theirs::Same, 0, 0, nullptr},
      {"a compressed entry", "the L1 table", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"a compressed entry", "the L2 table", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"a compressed entry", "data", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"a compressed entry", "compressed data", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"a compressed entry", "the snapshot table", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"a compressed entry", "a snapshot's L1 table", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"a compressed entry", "the bitmap directory", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"a compressed entry", "a bitmap table", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"a compressed entry", "a bitmap", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"a refcount table entry", "the header", 0, 0, Theirs::Same, 0, 0, nullptr},
      {"a refcount table entry", "the refcount table", 2, 0, Theirs::Same, 0, 0, nullptr},
      {"a refcount table entry", "the refcount block", 2, 0, Theirs::Same, 0, 0, nullptr},
      {"a refcount table entry", "the L1 table", 2, 0, Theirs::Same, 0, 0, nullptr},
      {"a refcount table entry", "the L2 table", 2, 0, Theirs::Same, 0, 0, nullptr},
      {"a refcount table entry", "data", 2, 0, Theirs::Same, 0, 0, nullptr},
      {"a refcount table entry", "compressed data", 2, 0, Theirs::Same, 0, 0, nullptr},
      {"a refcount table entry", "the snapshot table", 2, 0, Theirs::Same, 0, 0, nullptr},
      {"a refcount table entry", "a snapshot's L1 table", 2, 0, Theirs::Same, 0, 0, nullptr},
      {"a refcount table entry", "the bitmap directory", 2, 0, Theirs::Same, 0, 0, nullptr},
      {"a refcount table entry", "a bitmap table", 2, 0, Theirs::Same, 0, 0, nullptr},
      {"a refcount table entry", "a bitmap", 2, 0, Theirs::Same, 0, 0, nullptr},
      {"the L1 pointer", "the header", 19, 6, Theirs::Same, 16, 8, why::kGarbage},
      {"the L1 pointer", "the refcount table", 9, 6, Theirs::Same, 5, 0, why::kGarbage},
      {"the L1 pointer", "the refcount block", 9, 6, Theirs::Same, 7, 7, why::kGarbage},
      {"the L1 pointer", "the L2 table", 1536, 2, Theirs::Same, 1536, 0, why::kGarbage},
      {"the L1 pointer", "data", 12, 5, Theirs::Same, 12, 5, why::kGarbage},
      {"the L1 pointer", "compressed data", 0, 5, Theirs::Same, 0, 0, nullptr},
      {"the L1 pointer", "the snapshot table", 6, 5, Theirs::Same, 3, 5, why::kGarbage},
      {"the L1 pointer", "a snapshot's L1 table", 2, 1, Theirs::Same, 1, 0, why::kTableAndData},
      {"the L1 pointer", "the bitmap directory", 11, 6, Theirs::Same, 6, 6, why::kGarbage},
      {"the L1 pointer", "a bitmap table", 3, 6, Theirs::Same, 0, 0, nullptr},
      {"the L1 pointer", "a bitmap", 1, 6, Theirs::Same, 0, 0, nullptr},
      {"the refcount table pointer", "the header", 13, 0, Theirs::OtherNumbers, 0, 0, nullptr},
      {"the refcount table pointer", "the refcount block", 17, 0, Theirs::Same, 0, 0, nullptr},
      {"the refcount table pointer", "the L1 table", 10, 3, Theirs::Same, 0, 0, nullptr},
      {"the refcount table pointer", "the L2 table", 4, 14, Theirs::Same, 0, 0, nullptr},
      {"the refcount table pointer", "data", 512, 0, Theirs::Same, 0, 0, nullptr},
      {"the refcount table pointer", "compressed data", 12, 0, Theirs::Same, 0, 0, nullptr},
      {"the refcount table pointer", "the snapshot table", 15, 2, Theirs::Same, 0, 0, nullptr},
      {"the refcount table pointer", "a snapshot's L1 table", 13, 0, Theirs::OtherNumbers, 0, 0, nullptr},
      {"the refcount table pointer", "the bitmap directory", 15, 1, Theirs::Same, 0, 0, nullptr},
      {"the refcount table pointer", "a bitmap table", 13, 0, Theirs::Same, 0, 0, nullptr},
      {"the refcount table pointer", "a bitmap", 12, 0, Theirs::Same, 0, 0, nullptr},
      {"the snapshot table pointer", "the refcount table", 2, 7, Theirs::Same, 0, 0, nullptr},
      {"the snapshot table pointer", "the refcount block", 4, 7, Theirs::Same, 1, 9, why::kGarbage},
      {"the snapshot table pointer", "the L1 table", 2, 7, Theirs::Same, 0, 0, nullptr},
      {"the snapshot table pointer", "the L2 table", 1, 0, Theirs::Same, 0, 0, nullptr},
      {"the snapshot table pointer", "compressed data", 1, 6, Theirs::Same, 0, 0, nullptr},
      {"the snapshot table pointer", "a snapshot's L1 table", 1, 6, Theirs::Same, 0, 0, nullptr},
      {"the snapshot table pointer", "the bitmap directory", 4, 7, Theirs::Same, 0, 0, nullptr},
      {"the snapshot table pointer", "a bitmap table", 2, 7, Theirs::Same, 0, 0, nullptr},
      {"the snapshot table pointer", "a bitmap", 2, 7, Theirs::Same, 0, 0, nullptr},
      {"a snapshot's L1 pointer", "the header", 20, 6, Theirs::Same, 16, 8, why::kGarbage},
      {"a snapshot's L1 pointer", "the refcount table", 8, 6, Theirs::Same, 5, 0, why::kGarbage},
      {"a snapshot's L1 pointer", "the refcount block", 9, 6, Theirs::Same, 7, 7, why::kGarbage},
      {"a snapshot's L1 pointer", "the L1 table", 1, 1, Theirs::Same, 0, 0, nullptr},
      {"a snapshot's L1 pointer", "the L2 table", 1536, 2, Theirs::Same, 1536, 0, why::kGarbage},
      {"a snapshot's L1 pointer", "data", 12, 5, Theirs::Same, 12, 5, why::kGarbage},
      {"a snapshot's L1 pointer", "compressed data", 0, 5, Theirs::Same, 0, 0, nullptr},
      {"a snapshot's L1 pointer", "the snapshot table", 9, 6, Theirs::Same, 8, 6, why::kGarbage},
      {"a snapshot's L1 pointer", "the bitmap directory", 9, 6, Theirs::Same, 6, 6, why::kGarbage},
      {"a snapshot's L1 pointer", "a bitmap table", 2, 6, Theirs::Same, 0, 0, nullptr},
      {"a snapshot's L1 pointer", "a bitmap", 1, 6, Theirs::Same, 0, 0, nullptr},
      {"a bitmap table pointer", "the refcount table", 3, 2, Theirs::Same, 0, 0, nullptr},
      {"a bitmap table pointer", "the refcount block", 3, 2, Theirs::CannotOpen, 1, 0, why::kGarbage},
      {"a bitmap table pointer", "the L1 table", 2, 2, Theirs::Same, 0, 0, nullptr},
      {"a bitmap table pointer", "the L2 table", 2, 2, Theirs::Same, 0, 0, nullptr},
      {"a bitmap table pointer", "data", 2, 2, Theirs::CannotOpen, 1, 0, why::kGarbage},
      {"a bitmap table pointer", "compressed data", 1, 2, Theirs::Same, 0, 0, nullptr},
      {"a bitmap table pointer", "the snapshot table", 2, 2, Theirs::Same, 0, 0, nullptr},
      {"a bitmap table pointer", "a snapshot's L1 table", 2, 2, Theirs::CannotOpen, 1, 0, why::kGarbage},
      {"a bitmap table pointer", "the bitmap directory", 1, 2, Theirs::Same, 0, 0, nullptr},
      {"a bitmap table pointer", "a bitmap", 0, 1, Theirs::Same, 0, 0, nullptr},
      {"a bitmap table entry", "the header", 0, 1, Theirs::Same, 0, 0, nullptr},
      {"a bitmap table entry", "the refcount table", 1, 1, Theirs::Same, 0, 0, nullptr},
      {"a bitmap table entry", "the refcount block", 2, 1, Theirs::Same, 0, 0, nullptr},
      {"a bitmap table entry", "the L1 table", 1, 1, Theirs::Same, 0, 0, nullptr},
      {"a bitmap table entry", "the L2 table", 1, 1, Theirs::Same, 0, 0, nullptr},
      {"a bitmap table entry", "data", 1, 1, Theirs::Same, 0, 0, nullptr},
      {"a bitmap table entry", "compressed data", 1, 1, Theirs::Same, 0, 0, nullptr},
      {"a bitmap table entry", "the snapshot table", 1, 1, Theirs::Same, 0, 0, nullptr},
      {"a bitmap table entry", "a snapshot's L1 table", 1, 1, Theirs::Same, 0, 0, nullptr},
      {"a bitmap table entry", "the bitmap directory", 1, 1, Theirs::Same, 0, 0, nullptr},
      {"a bitmap table entry", "a bitmap table", 1, 1, Theirs::Same, 0, 0, nullptr},
  };
  return due;
}

inline std::vector<Damage> overlaps() {
  std::vector<Damage> all;
  for (const OverlapDue& due : overlaps_due()) {
    Damage damage = overlap(due.pointer, due.structure);
    damage.corruptions = due.corruptions;
    damage.leaks = due.leaks;
    damage.theirs = due.theirs;
    if (due.why != nullptr) damage.left = {due.corruptions_left, due.leaks_left, due.why};
    all.push_back(std::move(damage));
  }
  return all;
}

}  // namespace flatimg::test
