// What a guest sees of an image, entry by entry; and tables that are wrong.
#include "codec/deflate.h"
#include "engine/qcow1/open_disk.h"
#include "qcow1/check.h"

namespace flatimg::qcow1 {
namespace {

using test::content_of;
using test::FailsWith;
using test::open_disk;
using test::open_qcow1;
using test::Qcow1Builder;
using test::Succeeds;

std::vector<std::byte> deflated(std::span<const std::byte> cluster) {
  std::vector<std::byte> stream(cluster.size());
  const auto length = deflate_into(cluster, stream);
  stream.resize(length.value_or(0));
  return stream;
}

TEST(Qcow1Map, DataCompressedAndNothing) {
  Qcow1Builder image;
  image.add_data(1, std::byte{0x11});
  image.add_data(2, std::byte{0x22});
  const std::vector<std::byte> repeated(4096, std::byte{0x33});
  image.add_stream(5, deflated(repeated));
  auto disk = open_disk(image.file(), {});
  ASSERT_THAT(disk, Succeeds());
  const auto content = content_of(**disk);
  EXPECT_EQ(content[4095], std::byte{0});
  EXPECT_EQ(content[4096], std::byte{0x11});
  EXPECT_EQ(content[3 * 4096 - 1], std::byte{0x22});
  EXPECT_EQ(content[3 * 4096], std::byte{0});
  EXPECT_TRUE(std::equal(repeated.begin(), repeated.end(), content.begin() + 5 * 4096));
  const auto run = (*disk)->resolve({GuestOffset(4096), 8192_B}, Look::Data);
  ASSERT_THAT(run, Succeeds());
  EXPECT_EQ(run->extent.where.length, 8192_B);  // one behind the other
}

TEST(Qcow1Map, AFileThatIsCutOffInItsLastClusterReadsZeroesThere) {
  Qcow1Builder image;
  const auto at = image.add_data(0, std::byte{0x44});
  image.resize(at + 1000);
  auto disk = open_disk(image.file(), test::writing());
  ASSERT_THAT(disk, Succeeds());
  const auto content = content_of(**disk);
  EXPECT_EQ(content[999], std::byte{0x44});
  EXPECT_EQ(content[1000], std::byte{0});
  ASSERT_THAT((*disk)->write(GuestOffset(4096), test::noise(4096, 1)), Succeeds());
  EXPECT_EQ(content_of(**disk)[1000], std::byte{0});
  EXPECT_THAT((*disk)->close(), Succeeds());
}

// QEMU records an L2 table before it writes it: a crash leaves an L1 entry that points right behind the end.
TEST(Qcow1Map, ATableThatWasNeverWrittenIsEmptyAndCanBeUsed) {
  Qcow1Builder image;
  image.set_l1(1, (image.end() + 4095) / 4096 * 4096);
  auto file = image.file();
  auto* const memory = file.get();
  auto disk = open_disk(std::move(file), test::writing());
  ASSERT_THAT(disk, Succeeds());
  const auto data = test::noise(5000, 2);
  ASSERT_THAT((*disk)->write(GuestOffset((2 << 20) + 100), data), Succeeds());
  ASSERT_THAT((*disk)->write(GuestOffset(100), data), Succeeds());
  ASSERT_THAT((*disk)->flush(), Succeeds());
  auto copy = memory->copy();
  auto again = open_disk(std::move(copy), {});
  ASSERT_THAT(again, Succeeds());
  const auto content = content_of(**again);
  EXPECT_TRUE(std::equal(data.begin(), data.end(), content.begin() + (2 << 20) + 100));
  EXPECT_TRUE(std::equal(data.begin(), data.end(), content.begin() + 100));
}

TEST(Qcow1Map, ATruncatedImageIsRefused) {
  Qcow1Builder image;
  const auto at = image.add_data(3);
  image.resize(at);
  EXPECT_THAT(open_qcow1(image.file(), {}), FailsWith(ErrorKind::InvalidImage, "truncated"));
  Qcow1Builder without_table;
  without_table.set_l1(1, without_table.end() + 8192);
  EXPECT_THAT(open_qcow1(without_table.file(), {}), FailsWith(ErrorKind::InvalidImage, "truncated"));
}

TEST(Qcow1Map, TablesThatCannotBeTablesAreRefused) {
  Qcow1Builder misaligned;
  misaligned.set_l1(1, misaligned.l2_table() + 8);
  EXPECT_THAT(open_qcow1(misaligned.file(), {}), FailsWith(ErrorKind::CorruptImage, "not aligned"));
  Qcow1Builder twice;
  twice.set_l1(1, twice.l2_table());
  EXPECT_THAT(open_qcow1(twice.file(), {}), FailsWith(ErrorKind::CorruptImage, "on each other"));
  Qcow1Builder on_l1({.size = 1u << 30});
  on_l1.set_l1(1, 512);
  EXPECT_THAT(open_qcow1(on_l1.file(), {}), FailsWith(ErrorKind::CorruptImage, "on each other"));
}

struct Damage {
  std::string name;
  std::string says;
  void (*inflict)(Qcow1Builder&);
};
void PrintTo(const Damage& damage, std::ostream* out) { *out << damage.name; }

class DamagedQcow1 : public ::testing::TestWithParam<Damage> {};

// Found by check; opened for writing, the image is not writable, and whoever writes all the same is refused.
TEST_P(DamagedQcow1, IsFoundAndNotWrittenTo) {
  Qcow1Builder image;
  image.add_data(0);
  GetParam().inflict(image);
  const auto file = image.file();
  const auto header = read_header(*file);
  ASSERT_THAT(header, Succeeds());
  const auto report = check(*file, *header);
  ASSERT_THAT(report, Succeeds());
  EXPECT_GE(report->corruptions, 1u);
  ASSERT_FALSE(report->sentences.empty());
  EXPECT_NE(report->sentences[0].find(GetParam().says), std::string::npos) << report->sentences[0];
  auto disk = open_disk(image.file(), test::writing());
  ASSERT_THAT(disk, Succeeds());
  EXPECT_FALSE((*disk)->writable());
  EXPECT_NE((*disk)->traits().read_only_reason.find("flatimg check"), std::string::npos);
  EXPECT_THAT((*disk)->write(GuestOffset(0), test::noise(512, 1)), FailsWith(ErrorKind::Denied, "read-only"));
}

INSTANTIATE_TEST_SUITE_P(
    Entries, DamagedQcow1,
    ::testing::Values(Damage{"misaligned", "not aligned", [](auto& i) { i.put64(i.l2_entry(1), i.l2_table() + 100); }},
                      Damage{"on_the_header", "same place",
                             [](auto& i) { i.put64(i.l2_entry(1), std::uint64_t{1} << 63 | 1ull << 52 | 2); }},
                      Damage{"on_its_own_table", "same place", [](auto& i) { i.put64(i.l2_entry(1), i.l2_table()); }},
                      Damage{"on_other_data", "same place",
                             [](auto& i) { i.put64(i.l2_entry(1), i.get64(i.l2_entry(0))); }},
                      Damage{"half_on_other_data", "same place",
                             [](auto& i) { i.put64(i.l2_entry(1), i.get64(i.l2_entry(0)) - 512); }},
                      Damage{"stream_of_no_bytes", "no bytes",
                             [](auto& i) { i.put64(i.l2_entry(1), i.compressed_entry(i.end() - 1, 0)); }},
                      Damage{"stream_behind_the_end", "behind the end",
                             [](auto& i) { i.put64(i.l2_entry(1), i.compressed_entry(i.end() - 10, 11)); }}),
    [](const auto& param) { return param.param.name; });

TEST(Qcow1Check, DecodesStreamsOnDemand) {
  Qcow1Builder image;
  image.add_stream(0, test::noise(100, 3));
  const auto file = image.file();
  const auto header = read_header(*file);
  ASSERT_THAT(header, Succeeds());
  auto report = check(*file, *header);
  ASSERT_THAT(report, Succeeds());
  EXPECT_EQ(report->corruptions, 0u);
  EXPECT_EQ(report->compressed_clusters, 1u);
  const auto deeper = with_data_checked(*file, *header, *report);
  ASSERT_THAT(deeper, Succeeds());
  EXPECT_EQ(deeper->corruptions, 1u);
  auto disk = open_disk(image.file(), {});
  ASSERT_THAT(disk, Succeeds());
  std::vector<std::byte> bytes(512);
  EXPECT_THAT((*disk)->read(GuestOffset(0), bytes), FailsWith(ErrorKind::CorruptImage, "compressed cluster"));
}

}  // namespace
}  // namespace flatimg::qcow1
