#include "qcow2/check.h"

#include <gmock/gmock.h>

#include "support/qcow2_damage_groups.h"

namespace flatimg::qcow2 {
namespace {

using test::Damage;
using test::Qcow2Builder;

CheckReport report_on(const Qcow2Builder& image) {
  const auto header = image.header(HeaderUse::Check);
  EXPECT_TRUE(header.has_value()) << header.error().text;
  auto report = check(*image.file(), *header);
  EXPECT_TRUE(report.has_value()) << report.error().text;
  return std::move(*report);
}

class Qcow2CheckOf : public ::testing::TestWithParam<test::DamageGroup> {};

TEST_P(Qcow2CheckOf, GivesTheDueVerdict) {
  for (const Damage& damage : GetParam().damages) {
    const CheckReport report = report_on(damaged_image(damage));
    EXPECT_EQ(report.corruptions, damage.corruptions) << damage.name;
    EXPECT_EQ(report.leaks, damage.leaks) << damage.name;
    EXPECT_EQ(report.sentences.empty(), report.corruptions + report.leaks == 0) << damage.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Damage, Qcow2CheckOf, ::testing::ValuesIn(test::damage_groups()),
                         [](const auto& param) { return param.param.name; });

TEST(Qcow2Check, IsTriedOnMoreThan200DamagedImages) {
  EXPECT_GE(test::all_damages().size() - test::sound_images().size(), 200u);
}

TEST(Qcow2Check, TellsWhichClusterLeaked) {
  Qcow2Builder image;
  image.add_cluster();
  const CheckReport report = report_on(image);
  EXPECT_EQ(report.leaks, 1u);
  EXPECT_THAT(report.sentences, ::testing::ElementsAre("leaked: cluster 5 has refcount 1 but 0 references"));
}

TEST(Qcow2Check, CountsWhatIsAllocatedAndWhereItIsBroken) {
  Qcow2Builder image;
  for (const std::uint64_t guest : {4u, 0u, 1u, 2u}) image.add_data(guest);
  image.put64(image.l2_entry(6), image.compressed_entry(image.add_cluster(), 1));
  const CheckReport report = report_on(image);
  EXPECT_EQ(report.total_clusters, 2048u);
  EXPECT_EQ(report.allocated_clusters, 5u);
  EXPECT_EQ(report.compressed_clusters, 1u);
  EXPECT_EQ(report.fragmented_clusters, 2u);
  EXPECT_EQ(report.image_end.value(), image.end());
}

TEST(Qcow2Check, KeepsCountingWhenTooMuchIsWrongToTell) {
  Qcow2Builder image;
  for (std::uint64_t guest = 0; guest < 300; ++guest) image.put64(image.l2_entry(guest), 2);
  const CheckReport report = report_on(image);
  EXPECT_EQ(report.corruptions, 300u);
  EXPECT_EQ(report.sentences.size() + report.untold, 300u);
  EXPECT_GT(report.untold, 0u);
}

TEST(Qcow2Check, ChangesNothingInTheFile) {
  for (const Damage& damage : test::all_damages()) {
    const Qcow2Builder image = damaged_image(damage);
    const auto file = image.file();
    (void)check(*file, image.header(HeaderUse::Check).value());
    std::vector<std::byte> after(image.bytes().size());
    ASSERT_TRUE(file->read(HostOffset(), after).has_value());
    EXPECT_EQ(after, image.bytes()) << damage.name;
    EXPECT_EQ(file->size()->value(), image.bytes().size());
  }
}

TEST(Qcow2Check, IsQuickWhenTablesAreHoles) {
  Qcow2Builder image({.cluster_bits = 21, .size = std::uint64_t{1} << 40});
  const std::uint64_t end = image.end();
  for (std::uint64_t i = 0; i < image.l1_entries(); ++i) {
    image.put64(image.l1_table() + i * 8, (end + i * image.cluster_size()) | kCopied);
  }
  const auto file = image.file();
  ASSERT_TRUE(file->resize(ByteCount(end + image.l1_entries() * image.cluster_size())).has_value());
  const auto report = check(*file, image.header().value());
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(report->corruptions, 2u * image.l1_entries());  // not counted on disk, and therefore COPIED is wrong
}

}  // namespace
}  // namespace flatimg::qcow2
