// Images of Xen's tapdisk: byte orders, checksums, extents.
#include "engine/qcow1/open_disk.h"
#include "qcow1/check.h"
#include "qcow1/create.h"
#include "raw/raw_image.h"

namespace flatimg::qcow1 {
namespace {

using test::content_of;
using test::FailsWith;
using test::MemoryFile;
using test::open_disk;
using test::open_qcow1;
using test::Qcow1Builder;
using test::Qcow1Shape;
using test::Succeeds;

constexpr Qcow1Shape kXen{.xen = true};
constexpr Qcow1Shape kNative{.xen = true, .xen_flags = 1};

std::uint32_t word_at(MemoryFile& file, std::uint64_t at) {
  std::vector<std::byte> bytes(4);
  EXPECT_THAT(file.read(HostOffset(at), bytes), Succeeds());
  return load_be<std::uint32_t>(bytes, 0);
}

L1Table table_of(HostFile& file) {
  const auto header = read_header(file);
  EXPECT_THAT(header, Succeeds());
  auto table = read_l1_table(file, *header);
  EXPECT_THAT(table, Succeeds());
  return *table;
}

bool is_in_extents(HostFile& file) { return in_extents(*read_header(file), table_of(file)); }

// MD5 of 8 bytes 0 is 7dea362b3fac8e00956a4952a3d4f474: a little-endian machine stores its first word reversed.
TEST(Xen, TheChecksumIsTheFirstWordOfTheDigestWithItsBytesReversed) {
  EXPECT_EQ(l1_checksum({0}, ByteOrder::Big).value_or(0), 0x2b36ea7du);
}

TEST(Xen, ReadsAnL1TableInTheByteOrderOfTheMachine) {
  Qcow1Builder image(kNative);
  image.add_data(3, std::byte{0x42});
  auto disk = open_disk(image.file(), {});
  ASSERT_THAT(disk, Succeeds());
  EXPECT_EQ(content_of(**disk)[3 * 4096], std::byte{0x42});
  EXPECT_EQ(table_of(*image.file()).order, ByteOrder::Little);
}

// The flag was lost once, when tapdisk had converted the table and not stored it.
TEST(Xen, ReadsABigEndianTableWhoseFlagIsMissing) {
  Qcow1Builder image(kXen);
  image.add_data(3, std::byte{0x42});
  image.put32(60, 1);
  auto disk = open_disk(image.file(), {});
  ASSERT_THAT(disk, Succeeds());
  EXPECT_EQ(content_of(**disk)[3 * 4096], std::byte{0x42});
}

TEST(Xen, RefusesATableThatMakesSenseInNoByteOrder) {
  Qcow1Builder image(kNative);
  image.put64(image.l1_table(), 0x0102030405060708);
  EXPECT_THAT(open_qcow1(image.file(), {}), FailsWith(ErrorKind::CorruptImage, "neither byte order"));
}

TEST(Xen, ConvertsANativeTableWithTheFirstWriteAndNotBefore) {
  Qcow1Builder image(kNative);
  image.add_data(3, std::byte{0x42});
  auto file = image.file();
  auto* const memory = file.get();
  auto opened = open_qcow1(std::move(file), test::writing());
  ASSERT_THAT(opened, Succeeds());
  EXPECT_TRUE((*opened)->will_convert_l1());
  std::vector<std::unique_ptr<Image>> chain;
  chain.push_back(*std::move(opened));
  Disk disk(std::move(chain), DiskOptions{});
  std::vector<std::byte> before(512);
  ASSERT_THAT(disk.read(GuestOffset(3 * 4096), before), Succeeds());
  ASSERT_THAT(disk.flush(), Succeeds());
  EXPECT_EQ(memory->contents(), image.bytes());
  ASSERT_THAT(disk.write(GuestOffset(4 << 20), test::noise(512, 1)), Succeeds());
  ASSERT_THAT(disk.flush(), Succeeds());
  const auto table = table_of(*memory);
  EXPECT_EQ(table.order, ByteOrder::Big);
  EXPECT_EQ(table.words[0], image.l2_table());
  EXPECT_EQ(word_at(*memory, 60), xen_flag::kSparse | xen_flag::kL1BigEndian);
  const auto content = content_of(disk);
  EXPECT_EQ(content[3 * 4096], std::byte{0x42});
  EXPECT_TRUE(std::equal(content.begin() + (4 << 20), content.begin() + (4 << 20) + 512, test::noise(512, 1).begin()));
  ASSERT_THAT(disk.close(), Succeeds());
}

std::unique_ptr<MemoryFile> created(const CreateOptions& options) {
  auto file = std::make_unique<MemoryFile>();
  EXPECT_THAT(create(*file, options), Succeeds());
  return file;
}

TEST(Xen, CreatesWhatTapdiskCreates) {
  const auto sparse = created({.size = 8_MiB, .backing_name = "/base", .xen = Xen::Sparse});
  EXPECT_EQ(sparse->size()->value(), 8192u);
  EXPECT_EQ(word_at(*sparse, 12), 64u);  // the place of the name
  EXPECT_EQ(word_at(*sparse, 32), 0x0c090000u);
  EXPECT_EQ(word_at(*sparse, 44), 4096u);
  EXPECT_EQ(word_at(*sparse, 56), 1u);
  EXPECT_EQ(word_at(*sparse, 60), 3u);
  EXPECT_TRUE(table_of(*sparse).checksum_right);
  const auto full = created({.size = 8_MiB, .xen = Xen::Preallocated});
  EXPECT_EQ(full->size()->value(), 8192u + 4 * (4096 + (2u << 20)));
  EXPECT_EQ(word_at(*full, 56), 512u);
  EXPECT_EQ(word_at(*full, 60), 2u);
  EXPECT_TRUE(is_in_extents(*full));
}

TEST(Xen, ExtentsAreMadeWholeAndTheChecksumFollowsAtClose) {
  auto file = created({.size = 8_MiB, .xen = Xen::Preallocated});
  auto* const memory = file.get();
  const auto size = memory->size()->value();
  std::unique_ptr<MemoryFile> closed;
  auto disk = open_disk(std::move(file), test::writing());
  ASSERT_THAT(disk, Succeeds());
  const auto data = test::noise(5000, 1);
  ASSERT_THAT((*disk)->write(GuestOffset(3u << 20), data), Succeeds());
  ASSERT_THAT((*disk)->flush(), Succeeds());
  EXPECT_FALSE(is_in_extents(*memory));  // until then tapdisk looks at the tables
  EXPECT_EQ((*disk)->data_bytes(), 2_MiB);
  ASSERT_THAT((*disk)->top().close(), Succeeds());
  EXPECT_TRUE(is_in_extents(*memory));
  EXPECT_EQ(memory->size()->value(), size);
  const std::uint64_t table = table_of(*memory).words[1];
  EXPECT_EQ(table, 8192u);
  std::vector<std::byte> where_tapdisk_looks(5000);
  ASSERT_THAT(memory->read(HostOffset(table + 4096 + (1u << 20)), where_tapdisk_looks), Succeeds());
  EXPECT_EQ(where_tapdisk_looks, data);
  EXPECT_EQ(check(*memory, *read_header(*memory))->allocated_clusters, 512u);
}

TEST(Xen, NothingIsUnlinkedFromAnExtent) {
  auto file = created({.size = 4_MiB, .xen = Xen::Preallocated});
  auto* const memory = file.get();
  auto disk = open_disk(std::move(file), test::writing());
  ASSERT_THAT(disk, Succeeds());
  ASSERT_THAT((*disk)->write(GuestOffset(0), test::noise(1u << 20, 1)), Succeeds());
  ASSERT_THAT((*disk)->zero({GuestOffset(0), 1_MiB}, Space::Release), Succeeds());
  ASSERT_THAT((*disk)->top().close(), Succeeds());
  EXPECT_TRUE(is_in_extents(*memory));
  EXPECT_EQ(check(*memory, *read_header(*memory))->allocated_clusters, 512u);
  EXPECT_EQ(content_of(**disk), std::vector<std::byte>(4u << 20));
}

// The clusters of a new extent would hide what lies below.
TEST(Xen, OverABackingFileTheModeIsLeftFirst) {
  Qcow1Builder image({.size = 8u << 20, .xen = true, .clusters_at_once = 512, .backing = "/base"});
  image.set_l1(0, 0);
  image.put32(52, l1_checksum({0, 0, 0, 0}, ByteOrder::Big).value_or(0));
  auto file = image.file();
  auto* const memory = file.get();
  ASSERT_TRUE(is_in_extents(*memory));
  auto base = test::noise(8u << 20, 1);
  auto below = raw::RawImage::open(MemoryFile::containing(base, "base", Access::ReadOnly), {});
  auto disk = open_disk(std::move(file), test::writing(), *std::move(below));
  ASSERT_THAT(disk, Succeeds());
  const auto data = test::noise(5000, 2);
  ASSERT_THAT((*disk)->write(GuestOffset(1000), data), Succeeds());
  ASSERT_THAT((*disk)->flush(), Succeeds());
  std::ranges::copy(data, base.begin() + 1000);
  EXPECT_EQ(content_of(**disk), base);
  EXPECT_EQ(word_at(*memory, 56), 1u);
  EXPECT_FALSE(is_in_extents(*memory));
}

TEST(Xen, AWrongChecksumIsNotFatalAndEndsTheMode) {
  Qcow1Builder image({.xen = true, .clusters_at_once = 512});
  image.add_data(0, std::byte{0x42});
  image.put32(52, 12345);
  auto file = image.file();
  auto* const memory = file.get();
  auto disk = open_disk(std::move(file), test::writing());
  ASSERT_THAT(disk, Succeeds());
  EXPECT_EQ(content_of(**disk)[0], std::byte{0x42});
  ASSERT_THAT((*disk)->write(GuestOffset(4u << 20), test::noise(512, 1)), Succeeds());
  ASSERT_THAT((*disk)->top().close(), Succeeds());
  EXPECT_FALSE(is_in_extents(*memory));
  EXPECT_EQ(check(*memory, *read_header(*memory))->allocated_clusters, 2u);
}

}  // namespace
}  // namespace flatimg::qcow1
