#include "qcow2/repair.h"

#include <gmock/gmock.h>

#include "qcow2/check.h"
#include "qcow2/qcow2_image.h"
#include "qcow2/snapshot_table.h"
#include "support/guest_readings.h"
#include "support/memory_file.h"
#include "support/qcow2_damage_groups.h"

namespace flatimg::qcow2 {
namespace {

using test::Damage;
using test::GuestReader;
using test::MemoryFile;
using test::Qcow2Builder;

std::unique_ptr<MemoryFile> file_of(const Qcow2Builder& image) { return MemoryFile::containing(image.bytes()); }

Result<CheckReport> checked(HostFile& file) {
  TRY(const Header header, read_header(file, HeaderUse::Check));
  return check(file, header);
}

class Qcow2RepairOf : public ::testing::TestWithParam<test::DamageGroup> {};

void expect_due_repair(const Damage& damage) {
  const auto file = file_of(damaged_image(damage));
  const auto repaired = repair(*file, RepairScope::All);
  ASSERT_TRUE(repaired.has_value()) << repaired.error().text;
  EXPECT_EQ(repaired->found.corruptions, damage.corruptions);
  EXPECT_EQ(repaired->found.leaks, damage.leaks);
  EXPECT_EQ(repaired->left.corruptions, damage.left.corruptions);
  EXPECT_EQ(repaired->left.leaks, damage.left.leaks);
  const bool clean = repaired->left.corruptions == 0 && repaired->left.leaks == 0;
  EXPECT_EQ(clean, damage.left.reason.empty());
  for (const std::string& sentence : repaired->left.sentences) EXPECT_FALSE(clean) << sentence;
  const auto again = checked(*file);
  ASSERT_TRUE(again.has_value()) << again.error().text;
  EXPECT_EQ(again->corruptions, repaired->left.corruptions);
  EXPECT_EQ(again->leaks, repaired->left.leaks);
}

TEST_P(Qcow2RepairOf, LeavesOnlyWhatNobodyCanPutRight) {
  for (const Damage& damage : GetParam().damages) {
    SCOPED_TRACE(damage.name);
    expect_due_repair(damage);
  }
}

TEST_P(Qcow2RepairOf, ChangesNoByteThatAGuestReads) {
  for (const Damage& damage : GetParam().damages) {
    const Qcow2Builder image = damaged_image(damage);
    const auto file = file_of(image);
    ASSERT_TRUE(repair(*file, RepairScope::All).has_value()) << damage.name;
    const std::vector<std::byte> after = file->contents();
    const GuestReader now(after);
    const GuestReader before(image.bytes());
    EXPECT_TRUE(now.disk() == before.disk()) << damage.name;
    EXPECT_TRUE(now.snapshots(65536) == before.snapshots(65536)) << damage.name;
  }
}

void expect_only_leaks_gone(const Damage& damage) {
  const Qcow2Builder image = damaged_image(damage);
  const auto file = file_of(image);
  const auto repaired = repair(*file, RepairScope::Leaks);
  const std::vector<std::byte> after = file->contents();
  if (!repaired) {
    EXPECT_EQ(after, image.bytes());
    return;
  }
  // A counter that fell to 1 may leave a COPIED flag missing, which endangers nothing: -r all corrects it.
  EXPECT_LE(repaired->left.corruptions, repaired->found.corruptions + repaired->leaks_fixed);
  EXPECT_LE(repaired->left.leaks, repaired->found.leaks);
  EXPECT_TRUE(GuestReader(after).disk() == GuestReader(image.bytes()).disk());
}

TEST_P(Qcow2RepairOf, LeaksTakesNothingElseAway) {
  for (const Damage& damage : GetParam().damages) {
    SCOPED_TRACE(damage.name);
    expect_only_leaks_gone(damage);
  }
}

INSTANTIATE_TEST_SUITE_P(Damage, Qcow2RepairOf, ::testing::ValuesIn(test::damage_groups()),
                         [](const auto& param) { return param.param.name; });

// --- the dirty and the corrupt bit ----------------------------------------------------------------------------------

constexpr std::uint64_t kBothBits = incompatible::kDirty | incompatible::kCorrupt;

std::uint64_t incompatible_bits(HostFile& file) { return read_header(file, HeaderUse::Check)->incompatible; }

TEST(Qcow2Repair, ClearsDirtyAndCorruptWhenNothingIsWrongAnyMore) {
  for (const RepairScope scope : {RepairScope::Leaks, RepairScope::All}) {
    Qcow2Builder image({.incompatible = kBothBits});
    image.add_cluster();
    const auto file = file_of(image);
    EXPECT_EQ(repair(*file, scope)->left.leaks, 0u);
    EXPECT_EQ(incompatible_bits(*file), 0u);
  }
}

TEST(Qcow2Repair, KeepsDirtyAndCorruptWhileAnythingIsWrong) {
  Qcow2Builder image({.incompatible = kBothBits});
  image.put64(image.l2_entry(0), 2);
  const auto file = file_of(image);
  EXPECT_EQ(repair(*file, RepairScope::All)->left.corruptions, 1u);
  EXPECT_EQ(incompatible_bits(*file), kBothBits);
}

TEST(Qcow2Repair, WritesNothingToASoundImage) {
  for (const Damage& sound : test::sound_images()) {
    const Qcow2Builder image = damaged_image(sound);
    const auto file = file_of(image);
    ASSERT_TRUE(repair(*file, RepairScope::All).has_value());
    EXPECT_EQ(file->contents(), image.bytes()) << sound.name;
  }
}

TEST(Qcow2Repair, ClearsAutoclearBitsThatNobodyKnowsBeforeItChangesAnything) {
  Qcow2Builder image({.autoclear = autoclear::kBitmaps | 1u << 7});
  test::add_bitmap(image);
  image.add_cluster();
  const auto file = file_of(image);
  EXPECT_EQ(repair(*file, RepairScope::All)->left.leaks, 0u);
  EXPECT_EQ(read_header(*file)->autoclear, autoclear::kBitmaps);
}

// --- refcounts made anew --------------------------------------------------------------------------------------------

TEST(Qcow2Repair, OfLeaksRefusesToRebuildAndSaysWhatDoes) {
  Qcow2Builder image;
  image.put64(image.refcount_table(), 0);
  const auto file = file_of(image);
  const auto repaired = repair(*file, RepairScope::Leaks);
  ASSERT_FALSE(repaired.has_value());
  EXPECT_THAT(repaired.error().text, ::testing::HasSubstr("-r all"));
  EXPECT_EQ(file->contents(), image.bytes());
}

TEST(Qcow2Repair, PutsNewRefcountsWhereNoDamagedEntryPoints) {
  Qcow2Builder image;
  image.add_data(0);
  const std::uint64_t dangling = image.end() + image.cluster_size();
  image.put64(image.l2_entry(1), dangling | kCopied);
  image.set_refcount(0, 0);
  const auto file = file_of(image);
  ASSERT_TRUE(repair(*file, RepairScope::All).has_value());
  const std::vector<std::byte> after = file->contents();
  const auto there = std::span(after).subspan(dangling, image.cluster_size());
  EXPECT_EQ(std::count(there.begin(), there.end(), std::byte{0}), static_cast<std::ptrdiff_t>(there.size()));
  EXPECT_NE(read_header(*file)->refcount_table.value(), dangling);
}

TEST(Qcow2Repair, WidensCountersThatCannotHoldACount) {
  for (const unsigned order : {0u, 1u, 2u}) {
    Qcow2Builder image({.refcount_order = order});
    image.add_data(0);
    const std::uint64_t uses = (std::uint64_t{1} << (1u << order)) + 1;
    for (std::uint64_t guest = 1; guest < uses; ++guest)
      image.put64(image.l2_entry(guest), image.get64(image.l2_entry(0)));
    const auto file = file_of(image);
    const auto repaired = repair(*file, RepairScope::All);
    ASSERT_TRUE(repaired.has_value()) << repaired.error().text;
    EXPECT_EQ(repaired->left.corruptions, 0u);
    EXPECT_EQ(read_header(*file)->refcount_order, order + 1);
  }
}

TEST(Qcow2Repair, FindsItsWayWithoutARefcountTable) {
  const auto without_table = [](Qcow2Builder& image) { image.put32(56, 0); };
  const auto at_header = [](Qcow2Builder& image) { image.put64(48, 0); };
  const auto misaligned = [](Qcow2Builder& image) { image.put64(48, 512); };
  const auto too_large = [](Qcow2Builder& image) { image.put32(56, ~std::uint32_t{0}); };
  const auto far_away = [](Qcow2Builder& image) { image.put64(48, std::uint64_t{1} << 50); };
  for (const auto& inflict :
       std::vector<std::function<void(Qcow2Builder&)>>{without_table, at_header, misaligned, too_large, far_away}) {
    Qcow2Builder image;
    image.add_data(3);
    inflict(image);
    const auto file = file_of(image);
    const auto repaired = repair(*file, RepairScope::All);
    ASSERT_TRUE(repaired.has_value()) << repaired.error().text;
    EXPECT_EQ(repaired->left.corruptions + repaired->left.leaks, 0u);
    const std::vector<std::byte> after = file->contents();
    EXPECT_EQ(GuestReader(after).disk(), GuestReader(image.bytes()).disk());
  }
}

TEST(Qcow2Repair, KeepsTheFileSmallWhenItIsSparse) {
  Qcow2Builder image;
  image.add_data(0);
  image.set_refcount(0, 0);
  const auto file = file_of(image);
  const std::uint64_t far = std::uint64_t{1} << 36;
  ASSERT_TRUE(file->resize(ByteCount(far)).has_value());
  ASSERT_EQ(repair(*file, RepairScope::All)->left.corruptions, 0u);
  EXPECT_LT(file->allocated()->value(), image.bytes().size() + (1u << 20));
}

// --- the snapshot table ---------------------------------------------------------------------------------------------

Qcow2Builder with_snapshots(std::uint32_t count) {
  Qcow2Builder image;
  image.add_data(0);
  image.add_snapshots(count);
  return image;
}

SnapshotTable snapshots_in(HostFile& file) { return *read_snapshot_table(file, *read_header(file)); }

TEST(Qcow2Repair, CompletesSnapshotEntriesWithoutTheSizeOfTheDisk) {
  Qcow2Builder image = with_snapshots(1);
  image.put32(test::snapshot_table(image) + 36, 8);
  const auto file = file_of(image);
  EXPECT_EQ(repair(*file, RepairScope::All)->left.corruptions, 0u);
  const SnapshotTable table = snapshots_in(*file);
  ASSERT_FALSE(table.snapshots.empty());
  EXPECT_EQ(table.snapshots[0].extra_data_size, kLeastExtraDataInVersion3);
  EXPECT_EQ(table.snapshots[0].disk_size.value(), 8u << 20);
}

TEST(Qcow2Repair, CutsExtraDataThatIsTooMuch) {
  Qcow2Builder image = with_snapshots(1);
  const std::uint64_t entry = test::snapshot_table(image);
  image.put32(entry + 36, 2000);
  image.put_text(entry + 40 + 2000, "1snap");
  const auto file = file_of(image);
  EXPECT_FALSE(checked(*file).has_value());
  const auto repaired = repair(*file, RepairScope::All);
  ASSERT_TRUE(repaired.has_value()) << repaired.error().text;
  EXPECT_EQ(repaired->left.corruptions + repaired->left.leaks, 0u);
  const SnapshotTable table = snapshots_in(*file);
  EXPECT_EQ(table.snapshots.at(0).extra_data_size, 1024u);
  EXPECT_EQ(table.snapshots.at(0).name, "snap");
}

TEST(Qcow2Repair, DropsSnapshotsThatAreTooMany) {
  Qcow2Builder image = with_snapshots(1);
  image.put32(60, 65537);
  const auto file = file_of(image);
  EXPECT_FALSE(checked(*file).has_value());
  const auto repaired = repair(*file, RepairScope::All);
  ASSERT_TRUE(repaired.has_value()) << repaired.error().text;
  EXPECT_EQ(snapshots_in(*file).snapshots.size(), 65536u);
  EXPECT_EQ(snapshots_in(*file).snapshots.front().name, "snap");
}

}  // namespace
}  // namespace flatimg::qcow2
