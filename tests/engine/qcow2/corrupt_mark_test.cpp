// What becomes of an image when a change meets a contradiction in it.
#include "qcow2/corrupt_mark.h"

#include "engine/qcow2/written_image.h"
#include "qcow2/check.h"
#include "qcow2/repair.h"
#include "support/matchers.h"
#include "support/qcow2_damage.h"

namespace flatimg::qcow2 {
namespace {

using test::FailsWith;
using test::Qcow2Builder;
using test::Succeeds;

constexpr std::uint64_t kBroken = 9;  // the guest cluster whose entry leads astray

Qcow2Builder sound_image(const test::Qcow2Shape& shape = {}) {
  Qcow2Builder image(shape);
  for (const std::uint64_t guest : {0u, 1u, 2u}) image.add_data(guest);
  return image;
}

Qcow2Builder broken_image(const test::Qcow2Shape& shape = {}) {
  Qcow2Builder image = sound_image(shape);
  image.put64(image.l2_entry(kBroken), image.l1_table() | kCopied);
  return image;
}

TEST(CorruptImage, IsMarkedAndNotChangedAnyMore) {
  WrittenImage image(broken_image());
  EXPECT_THAT(image.write(kBroken), FailsWith(ErrorKind::CorruptImage, "holds a table"));
  EXPECT_TRUE(image.marked());
  ASSERT_TRUE(image.disk().corruption().has_value());
  EXPECT_NE(image.disk().corruption()->find("holds a table"), std::string::npos);
  const auto before = image.bytes();
  const auto read_only = FailsWith(ErrorKind::ReadOnly, "check -r all");
  EXPECT_THAT(image.write(0), read_only);
  EXPECT_THAT(image.write(5), read_only);
  EXPECT_THAT(image.disk().zero(image.guest(0), Space::Release), read_only);
  EXPECT_THAT(image.disk().allocate(image.guest(6)), read_only);
  EXPECT_THAT(image.disk().resize(ByteCount(16u << 20)), read_only);
  EXPECT_THAT(image.disk().resize(ByteCount(1u << 20)), read_only);
  EXPECT_THAT(image.disk().create_snapshot(snapshot_now("late")), read_only);
  EXPECT_THAT(image.disk().empty(), read_only);
  EXPECT_THAT(image.disk().accepts_writers(), FailsWith(ErrorKind::ReadOnly, "holds a table"));
  EXPECT_THAT(image.disk().flush(), Succeeds());
  EXPECT_THAT(image.disk().close(), Succeeds());
  EXPECT_EQ(image.bytes(), before);
}

TEST(CorruptImage, IsStillRead) {
  WrittenImage image(broken_image());
  EXPECT_FALSE(image.write(kBroken));
  EXPECT_EQ(image.read(1).value(), std::vector(4096, std::byte{0x5a}));
  EXPECT_THAT(image.read(kBroken), Succeeds());
}

TEST(CorruptImage, OfVersion2HasNoMarkAndIsReadOnlyAllTheSame) {
  const Qcow2Builder built = broken_image({.version = 2});
  WrittenImage image(built);
  EXPECT_FALSE(image.write(kBroken));
  EXPECT_THAT(image.write(0), FailsWith(ErrorKind::ReadOnly, ""));
  EXPECT_THAT(image.disk().close(), Succeeds());
  EXPECT_EQ(image.bytes(), built.bytes());
}

TEST(CorruptImage, IsDeclaredByEveryChangeOfTheBrokenCluster) {
  using Change = std::function<Result<void>(WrittenImage&)>;
  const std::map<std::string, Change> changes{
      {"zero", [](WrittenImage& image) { return image.disk().zero(image.guest(kBroken), Space::Keep); }},
      {"punch", [](WrittenImage& image) { return image.disk().zero(image.guest(kBroken), Space::Release); }},
      {"allocate", [](WrittenImage& image) { return image.disk().allocate(image.guest(kBroken)); }},
      {"compressed",
       [](WrittenImage& image) {
         return image.disk().write_encoded(image.guest(kBroken).begin, std::vector(100, std::byte{1}));
       }},
      {"snapshot", [](WrittenImage& image) { return image.disk().create_snapshot(snapshot_now("one")); }},
  };
  for (const auto& [name, change] : changes) {
    WrittenImage image(broken_image());
    EXPECT_THAT(change(image), FailsWith(ErrorKind::CorruptImage, "")) << name;
    EXPECT_TRUE(image.marked()) << name;
    EXPECT_THAT(image.write(0), FailsWith(ErrorKind::ReadOnly, "")) << name;
  }
}

TEST(CorruptImage, IsDeclaredWhereSpaceBehindTheNewEndIsDamaged) {
  WrittenImage image(broken_image());
  EXPECT_THAT(image.disk().resize(ByteCount(4 * 4096)), Succeeds());
  EXPECT_TRUE(image.marked());
}

TEST(CorruptImage, IsDeclaredWhenSomethingIsReservedBeyondTheEndOfTheFile) {
  Qcow2Builder built = sound_image();
  built.put64(built.l2_entry(kBroken), (built.end() + built.cluster_size()) | kCopied | kZeroFlag);
  WrittenImage image(built);
  EXPECT_THAT(image.write(kBroken), FailsWith(ErrorKind::CorruptImage, ""));
  EXPECT_TRUE(image.marked());
}

TEST(CorruptImage, KeepsItsMarkUntilItIsRepaired) {
  WrittenImage image(broken_image());
  EXPECT_FALSE(image.write(kBroken));
  EXPECT_THAT(image.disk().close(), Succeeds());
  const auto file = image.copy();
  ASSERT_THAT(repair(*file, RepairScope::All), Succeeds());
  const auto header = read_header(*file);
  ASSERT_THAT(header, Succeeds());
  EXPECT_FALSE(header->has(incompatible::kCorrupt));
}

// --- what was acknowledged before -----------------------------------------------------------------------------------

TEST(CorruptImage, LosesNothingThatWasWrittenBefore) {
  WrittenImage image(broken_image());
  EXPECT_THAT(image.write(5, 0x77), Succeeds());
  EXPECT_FALSE(image.write(kBroken));
  EXPECT_THAT(image.disk().flush(), Succeeds());
  const auto file = image.copy();  // as a crash would leave it
  const auto header = read_header(*file);
  ASSERT_THAT(header, Succeeds());
  const auto report = check(*file, *header);
  ASSERT_THAT(report, Succeeds());
  EXPECT_EQ(report->corruptions, 1u);  // the entry that was broken
  auto again = Qcow2Image::open(image.copy(), *header, nullptr, nullptr, {});
  ASSERT_THAT(again, Succeeds());
  std::vector<std::unique_ptr<Image>> chain;
  chain.push_back(std::move(*again));
  Disk disk(std::move(chain), DiskOptions{});
  std::vector<std::byte> out(4096);
  EXPECT_THAT(disk.read(image.guest(5).begin, out), Succeeds());
  EXPECT_EQ(out, std::vector(4096, std::byte{0x77}));
}

TEST(CorruptImage, GivesNothingBack) {
  const Qcow2Builder built = broken_image();
  WrittenImage image(built);
  const std::uint64_t freed = test::data_cluster(built, 1);
  EXPECT_THAT(image.write(5), Succeeds());  // reserves more than it needs
  EXPECT_THAT(image.disk().zero(image.guest(1), Space::Release), Succeeds());
  EXPECT_FALSE(image.write(kBroken));
  const std::uint64_t length = image.bytes().size();
  EXPECT_THAT(image.disk().flush(), Succeeds());
  EXPECT_THAT(image.disk().flush(), Succeeds());
  EXPECT_THAT(image.disk().close(), Succeeds());
  const auto now = image.bytes();
  EXPECT_EQ(now.size(), length);
  EXPECT_EQ(read_counter(std::span(now).subspan(built.refcount_block(), 4096), freed, 4), 1u);
  EXPECT_EQ(now[freed * 4096], std::byte{0x5a}) << "it was punched";
  EXPECT_EQ(image.word(built.l2_entry(1)) & kOffsetMask, 0u) << "the discard was acknowledged";
}

TEST(CorruptImage, IsDeclaredWhereWhatWasInUseIsCountedAsFree) {
  Qcow2Builder built = sound_image();
  const std::uint64_t cluster = test::data_cluster(built, 1);
  built.set_refcount(cluster, 0);
  WrittenImage image(built);
  EXPECT_THAT(image.disk().zero(image.guest(1), Space::Release), Succeeds());
  EXPECT_THAT(image.disk().flush(), Succeeds()) << "what was acknowledged is on disk";
  EXPECT_TRUE(image.marked());
  EXPECT_EQ(image.bytes()[cluster * 4096], std::byte{0x5a}) << "it was punched";
  EXPECT_THAT(image.write(0), FailsWith(ErrorKind::ReadOnly, ""));
  EXPECT_THAT(image.disk().close(), Succeeds());
}

TEST(CorruptImage, TakesNoPlacementThatWasMadeBefore) {
  WrittenImage image(broken_image());
  auto placement = image.image().place(image.guest(6));
  ASSERT_THAT(placement, Succeeds());
  EXPECT_FALSE(image.write(kBroken));
  EXPECT_THAT(image.image().link(std::move(*placement)), FailsWith(ErrorKind::ReadOnly, ""));
  EXPECT_THAT(image.disk().close(), Succeeds());
}

// --- where nothing is marked ----------------------------------------------------------------------------------------

TEST(CorruptImage, IsNotDeclaredByReading) {
  Qcow2Builder built = sound_image();
  built.put64(built.l2_entry(kBroken), (512 + built.l2_table()) | kCopied);
  WrittenImage image(built);
  EXPECT_THAT(image.read(kBroken), FailsWith(ErrorKind::CorruptImage, ""));
  EXPECT_FALSE(image.disk().corruption().has_value());
  EXPECT_EQ(image.bytes(), built.bytes());
}

TEST(CorruptImage, IsNotWrittenWhenItIsOpenForReading) {
  const Qcow2Builder built = broken_image();
  WrittenImage image(built, Access::ReadOnly);
  EXPECT_THAT(image.write(kBroken), FailsWith(ErrorKind::Denied, ""));
  EXPECT_THAT(image.read(kBroken), Succeeds());
  EXPECT_THAT(image.disk().close(), Succeeds());
  EXPECT_EQ(image.bytes(), built.bytes());
}

TEST(CorruptImage, IsMarkedByALaterFlushWhenTheHostFailedAtFirst) {
  WrittenImage image(broken_image());
  EXPECT_THAT(image.write(0), Succeeds());
  image.file().plan({.calls = {test::Call::Write}});
  EXPECT_FALSE(image.write(kBroken));
  EXPECT_EQ(image.file().failed(test::Call::Write), 1u);
  EXPECT_FALSE(image.marked());
  EXPECT_THAT(image.write(0), FailsWith(ErrorKind::ReadOnly, ""));
  EXPECT_THAT(image.disk().flush(), Succeeds());
  EXPECT_TRUE(image.marked());
}

}  // namespace
}  // namespace flatimg::qcow2
