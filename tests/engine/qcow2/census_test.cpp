#include "qcow2/census.h"

#include <gmock/gmock.h>

#include "support/qcow2_builder.h"

namespace flatimg::qcow2 {
namespace {

using test::Qcow2Builder;
using test::Qcow2Shape;

Census census_of(const Qcow2Builder& image, Census::Scope scope = Census::Scope::Everything) {
  const auto header = image.header();
  EXPECT_TRUE(header.has_value()) << header.error().text;
  const auto file = image.file();
  auto census = Census::take(*file, *header, {.scope = scope});
  EXPECT_TRUE(census.has_value()) << census.error().text;
  return std::move(*census);
}

std::vector<std::uint64_t> counts_of(const Census& census) {
  std::vector<std::uint64_t> counts;
  for (std::uint64_t cluster = 0; cluster < census.clusters(); ++cluster) counts.push_back(census.expected(cluster));
  return counts;
}

TEST(Qcow2Census, CountsEveryTableOfAFreshImageOnce) {
  const Census census = census_of(Qcow2Builder());
  EXPECT_THAT(counts_of(census), ::testing::ElementsAre(1, 1, 1, 1, 1));
  EXPECT_EQ(census.findings.corruptions, 0u);
}

TEST(Qcow2Census, LeavesTheRefcountStructureOutForARebuild) {
  const Census census = census_of(Qcow2Builder(), Census::Scope::WithoutRefcountStructure);
  EXPECT_THAT(counts_of(census), ::testing::ElementsAre(1, 0, 0, 1, 1));
}

TEST(Qcow2Census, CountsDataAndPreallocatedZeroClusters) {
  Qcow2Builder image;
  image.add_data(0);
  const std::uint64_t second = image.add_data(1);
  image.put64(image.l2_entry(1), second | kCopied | kZeroFlag);
  image.put64(image.l2_entry(2), kZeroFlag);
  const Census census = census_of(image);
  EXPECT_THAT(counts_of(census), ::testing::ElementsAre(1, 1, 1, 1, 1, 1, 1));
  EXPECT_EQ(census.active.allocated, 2u);
  EXPECT_EQ(census.active.fragmented, 0u);
}

TEST(Qcow2Census, CountsEachClusterThatACompressedStreamTouches) {
  Qcow2Builder image;
  const std::uint64_t first = image.add_cluster();
  const std::uint64_t second = image.add_cluster();
  image.put64(image.l2_entry(0), image.compressed_entry(first + 100, 0));
  image.put64(image.l2_entry(1), image.compressed_entry(second - 300, 1));
  const Census census = census_of(image);
  EXPECT_EQ(census.expected(first / image.cluster_size()), 2u);
  EXPECT_EQ(census.expected(second / image.cluster_size()), 1u);
  EXPECT_EQ(census.active.compressed, 2u);
  EXPECT_EQ(census.active.fragmented, 2u);
}

TEST(Qcow2Census, CountsASharedTableOnceForEachSnapshot) {
  Qcow2Builder image;
  const std::uint64_t data = image.add_data(3);
  image.add_snapshots(3);
  const Census census = census_of(image);
  EXPECT_EQ(census.expected(data / image.cluster_size()), 4u);
  EXPECT_EQ(census.expected(image.l2_table() / image.cluster_size()), 4u);
  EXPECT_EQ(census.active.allocated, 1u);
  ASSERT_EQ(census.l2_tables.size(), 1u);
  EXPECT_EQ(census.l2_tables[0].by_active, 1u);
  EXPECT_EQ(census.l2_tables[0].by_snapshots, 3u);
}

TEST(Qcow2Census, ReportsAReferenceBeyondTheEndWithoutCountingIt) {
  Qcow2Builder image;
  image.put64(image.l2_entry(0), std::uint64_t{1} << 50 | kCopied);
  const Census census = census_of(image);
  EXPECT_EQ(census.findings.corruptions, 1u);
  EXPECT_EQ(census.clusters(), 5u);
}

TEST(Qcow2Census, AcceptsAnIncompleteLastCluster) {
  Qcow2Builder image;
  const std::uint64_t data = image.add_data(0);
  image.resize(data + 512);
  const Census census = census_of(image);
  EXPECT_EQ(census.findings.corruptions, 0u);
  EXPECT_EQ(census.expected(data / image.cluster_size()), 1u);
}

TEST(Qcow2Census, CountsNothingOfADataFile) {
  Qcow2Builder image({.incompatible = incompatible::kDataFile});
  image.put64(image.l2_entry(0), kCopied);
  image.put64(image.l2_entry(1), image.cluster_size() | kCopied);
  const Census census = census_of(image);
  EXPECT_THAT(counts_of(census), ::testing::ElementsAre(1, 1, 1, 1, 1));
  EXPECT_EQ(census.active.allocated, 2u);
}

TEST(Qcow2Census, CountsBitmapsOnlyWhileTheirAutoclearBitIsSet) {
  for (const std::uint64_t autoclear : {autoclear::kBitmaps, std::uint64_t{0}}) {
    Qcow2Builder image({.autoclear = autoclear});
    const std::uint64_t directory = image.add_cluster();
    const std::uint64_t table = image.add_cluster();
    const std::uint64_t bits = image.add_cluster();
    std::string payload(24, '\0');
    const std::span<std::byte> words(reinterpret_cast<std::byte*>(payload.data()), payload.size());
    store_be(words, 0, std::uint32_t{1});
    store_be(words, 8, std::uint64_t{32});
    store_be(words, 16, directory);
    image.add_extension(extension::kBitmaps, payload);
    image.put64(directory, table);
    image.put32(directory + 8, 1);
    image.put32(directory + 16, 0x01100002);  // dirty tracking, 64 KiB, a name of two letters
    image.put_text(directory + 24, "b0");
    image.put64(table, bits);
    const Census census = census_of(image);
    const std::uint64_t wanted = autoclear == 0 ? 0 : 1;
    for (const std::uint64_t at : {directory, table, bits}) {
      EXPECT_EQ(census.expected(at / image.cluster_size()), wanted);
    }
    EXPECT_EQ(census.findings.corruptions, 0u);
  }
}

TEST(Qcow2Census, RefusesAnAbsurdSnapshotTable) {
  Qcow2Builder image;
  image.add_snapshots(1);
  image.put32(load_be<std::uint64_t>(std::span(image.bytes()), 64) + 36, 5000);
  const auto file = image.file();
  EXPECT_EQ(Census::take(*file, *image.header(), {}).error().kind, ErrorKind::CorruptImage);
}

TEST(Qcow2Census, WalksManySnapshotsOfOneTableOnce) {
  Qcow2Builder image({.cluster_bits = 16, .size = 512u << 20});
  image.add_data(0);
  const std::uint64_t table = image.add_cluster();
  image.resize(image.end() + (std::uint64_t{60000} * 40 + 65535) / 65536 * 65536);
  for (std::uint64_t i = 0; i < 60000; ++i) {  // without extra data, id and name
    image.put64(table + i * 40, image.l1_table());
    image.put32(table + i * 40 + 8, image.l1_entries());
  }
  image.put32(60, 60000);
  image.put64(64, table);
  const Census census = census_of(image);
  EXPECT_EQ(census.expected(3), 60001u);
  EXPECT_EQ(census.expected(4), 60001u);
  EXPECT_EQ(census.expected(5), 60001u);
}

TEST(Qcow2ReferenceCounts, HoldsCountsOfEverySize) {
  ReferenceCounts counts(1000);
  counts.add(7, 65534);
  EXPECT_EQ(counts.of(7), 65534u);
  counts.add(7, 1);
  EXPECT_EQ(counts.of(7), 65535u);
  counts.add(7, std::uint64_t{1} << 40);
  EXPECT_EQ(counts.of(7), (std::uint64_t{1} << 40) + 65535);
  counts.set(7, 3);
  EXPECT_EQ(counts.of(7), 3u);
  EXPECT_EQ(counts.of(8), 0u);
  EXPECT_EQ(counts.of(5000), 0u);
  EXPECT_EQ(counts.end(), 8u);
}

TEST(Qcow2ReferenceCounts, SkipsGroupsWithoutReferences) {
  ReferenceCounts counts(2000);
  counts.add(1000, 1);
  EXPECT_EQ(counts.skip_unreferenced(0, 2000), 768u);
  EXPECT_EQ(counts.skip_unreferenced(1024, 2000), 2000u);
}

}  // namespace
}  // namespace flatimg::qcow2
