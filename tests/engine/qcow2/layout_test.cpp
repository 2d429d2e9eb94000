#include "qcow2/layout.h"

#include <gmock/gmock.h>

#include "qcow2/header.h"

namespace flatimg::qcow2 {
namespace {

Header header_with(unsigned cluster_bits, std::uint64_t incompatible = 0, std::uint32_t version = 3) {
  Header header;
  header.version = version;
  header.cluster_bits = cluster_bits;
  header.incompatible = incompatible;
  return header;
}

TEST(Qcow2Layout, FindsTheEntriesOfAGuestOffset) {
  const Layout layout(header_with(16));
  const GuestOffset at(3 * (std::uint64_t{512} << 20) + 5 * 65536 + 17);
  EXPECT_EQ(layout.span(), ByteCount(512u << 20));
  EXPECT_EQ(layout.l1_index(at), 3u);
  EXPECT_EQ(layout.l2_index(at), 5u);
}

TEST(Qcow2Layout, SpansHalfAsMuchWithExtendedEntries) {
  const Layout layout(header_with(16, incompatible::kExtendedL2));
  EXPECT_EQ(layout.span(), ByteCount(256u << 20));
  EXPECT_EQ(layout.granule(), 2_KiB);
  EXPECT_EQ(layout.subcluster(GuestOffset(65536 + 3 * 2048 + 1)), 3u);
}

TEST(Qcow2Layout, LooksAtTheCompressedBitBeforeTheZeroFlag) {
  const Layout layout(header_with(16));
  EXPECT_EQ(layout.meaning({kCompressed | 0x50001, 0}, 0)->kind, Kind::Compressed);
}

TEST(Qcow2Layout, LetsTheZeroFlagWinOverTheOffset) {
  const Layout layout(header_with(16));
  const Meaning meaning = layout.meaning({0x50000 | kZeroFlag | kCopied, 0}, 0).value();
  EXPECT_EQ(meaning.kind, Kind::Zero);
  EXPECT_TRUE(meaning.has_host);
  EXPECT_EQ(layout.meaning({kZeroFlag, 0}, 0)->kind, Kind::Zero);
}

TEST(Qcow2Layout, RefusesTheZeroFlagInVersion2) {
  const Layout layout(header_with(16, 0, 2));
  EXPECT_EQ(layout.meaning({kZeroFlag, 0}, 0).error().kind, ErrorKind::CorruptImage);
}

TEST(Qcow2Layout, RefusesDataAtAMisalignedPlace) {
  const Layout layout(header_with(16));
  EXPECT_EQ(layout.meaning({0x50200, 0}, 0).error().kind, ErrorKind::CorruptImage);
}

TEST(Qcow2Layout, TakesOffsetZeroOfADataFileForDataWhenItIsCopied) {
  const Layout layout(header_with(16, incompatible::kDataFile));
  EXPECT_EQ(layout.meaning({kCopied, 0}, 0)->kind, Kind::Data);
  EXPECT_EQ(layout.meaning({0, 0}, 0)->kind, Kind::Unallocated);
}

TEST(Qcow2Layout, ReadsTheWorkedExampleOfACompressedEntry) {
  const Layout layout(header_with(21));
  const CompressedRange stream = layout.compressed_range({0x4008000000a00802, 0});
  EXPECT_EQ(stream.at, HostOffset(0xa00802));
  EXPECT_EQ(stream.length, ByteCount(2558));
}

TEST(Qcow2Layout, TellsSubclustersApart) {
  const Layout layout(header_with(16, incompatible::kExtendedL2));
  const Entry entry{0x50000 | kCopied, 0x0000000800000001};
  EXPECT_EQ(layout.meaning(entry, 0)->kind, Kind::Data);
  EXPECT_EQ(layout.meaning(entry, 1)->kind, Kind::Unallocated);
  EXPECT_EQ(layout.meaning(entry, 3)->kind, Kind::Zero);
  EXPECT_EQ(layout.meaning({0x50000, 0x0000000100000001}, 0).error().kind, ErrorKind::CorruptImage);
  EXPECT_EQ(layout.meaning({0, 1}, 0).error().kind, ErrorKind::CorruptImage);
}

TEST(Qcow2Layout, KnowsHowFarACounterCounts) {
  for (const auto& [order, most] : {std::pair<unsigned, std::uint64_t>{0, 1}, {2, 15}, {4, 65535}, {6, ~0ull}}) {
    Header header = header_with(16);
    header.refcount_order = order;
    EXPECT_EQ(Layout(header).largest_refcount(), most);
    EXPECT_EQ(Layout(header).counters_per_block(), std::uint64_t{65536} * 8 >> order);
  }
}

}  // namespace
}  // namespace flatimg::qcow2
