#include "qcow2/create.h"

#include <gmock/gmock.h>

#include "qcow2/check.h"
#include "support/faulty_file.h"
#include "support/matchers.h"
#include "support/memory_file.h"
#include "support/recording_file.h"

namespace flatimg::qcow2 {
namespace {

using test::MemoryFile;

Result<Header> header_of(HostFile& file) {
  std::vector<std::byte> area(2u << 20);
  CHECK(file.read(HostOffset(), area));
  TRY(const ByteCount size, file.size());
  return parse_header(area, size);
}

CreateOptions small_image() {
  CreateOptions options;
  options.size = 10_MiB;
  options.cluster_size = 4_KiB;
  return options;
}

void expect_clean(HostFile& file) {
  const auto header = header_of(file);
  ASSERT_TRUE(header.has_value()) << header.error().text;
  const auto report = check(file, *header);
  ASSERT_TRUE(report.has_value()) << report.error().text;
  EXPECT_EQ(report->corruptions + report->leaks + report->check_errors, 0u);
  EXPECT_EQ(report->image_end, *file.size());
}

TEST(Qcow2Create, MakesCleanImagesOfEveryShape) {
  for (unsigned cluster_bits = 9; cluster_bits <= 21; cluster_bits += 3) {
    for (std::uint64_t refcount_bits = 1; refcount_bits <= 64; refcount_bits *= 2) {
      for (const auto preallocation : {Preallocation::Off, Preallocation::Metadata}) {
        CreateOptions options;
        options.size = 7_MiB + 512_B;
        options.cluster_size = ByteCount(std::uint64_t{1} << cluster_bits);
        options.refcount_bits = refcount_bits;
        options.preallocation = preallocation;
        SCOPED_TRACE(fmt::format("clusters of 2^{} bytes, counters of {} bits", cluster_bits, refcount_bits));
        MemoryFile file;
        ASSERT_TRUE(create(file, nullptr, options).has_value());
        expect_clean(file);
      }
    }
  }
}

TEST(Qcow2Create, PutsTheTablesOfASmallImageWhereQemuPutsThem) {
  MemoryFile file;
  ASSERT_TRUE(create(file, nullptr, small_image()).has_value());
  const Header header = header_of(file).value();
  EXPECT_EQ(header.refcount_table, HostOffset(4096));
  EXPECT_EQ(header.l1_table, HostOffset(3 * 4096));
  EXPECT_EQ(header.l1_entries, 5u);
  EXPECT_EQ(header.header_length, 112u);
}

TEST(Qcow2Create, RecordsTheNamesOfOtherFiles) {
  CreateOptions options = small_image();
  options.backing_name = "base.img";
  options.backing_format = "raw";
  MemoryFile file;
  ASSERT_TRUE(create(file, nullptr, options).has_value());
  const Header header = header_of(file).value();
  EXPECT_EQ(header.backing_name, "base.img");
  EXPECT_EQ(header.backing_format, "raw");
}

TEST(Qcow2Create, PreallocatesARawDataFileWhole) {
  CreateOptions options = small_image();
  options.data_file_name = "data";
  options.raw_data_file = true;
  MemoryFile file;
  MemoryFile data;
  ASSERT_TRUE(create(file, &data, options).has_value());
  expect_clean(file);
  EXPECT_EQ(*data.size(), 10_MiB);
  EXPECT_EQ(check(file, header_of(file).value())->allocated_clusters, 2560u);
}

TEST(Qcow2Create, WritesTheHeaderLastBehindABarrier) {
  CreateOptions options = small_image();
  options.preallocation = Preallocation::Metadata;
  const auto recording = std::make_shared<test::Recording>();
  test::RecordingFile file(std::make_unique<MemoryFile>(), recording);
  ASSERT_TRUE(create(file, nullptr, options).has_value());
  const auto operations = recording->operations();
  using Kind = test::Operation::Kind;
  ASSERT_GE(operations.size(), 3u);
  const auto* last = &operations.back();
  EXPECT_EQ(last->kind, Kind::Barrier);
  EXPECT_EQ(last[-1].kind, Kind::Write);
  EXPECT_EQ(last[-1].where.begin, HostOffset());
  EXPECT_EQ(last[-2].kind, Kind::Barrier);
}

TEST(Qcow2Create, LeavesNoImageWhenAnyCallFails) {
  std::uint64_t calls = 0;
  {
    test::FaultyFile file(std::make_unique<MemoryFile>());
    ASSERT_TRUE(create(file, nullptr, small_image()).has_value());
    calls = file.changing_calls();
  }
  for (std::uint64_t nth = 1; nth < calls; ++nth) {  // the last one is the barrier behind the header
    test::FaultyFile file(std::make_unique<MemoryFile>());
    file.plan({.calls = test::changing(), .nth = nth, .times = test::FaultyFile::Times::Once});
    EXPECT_FALSE(create(file, nullptr, small_image()).has_value());
    EXPECT_FALSE(header_of(file).has_value()) << "call " << nth;
  }
}

TEST(Qcow2Create, RefusesNamesThatDoNotFitIntoTheHeader) {
  CreateOptions options = small_image();
  options.cluster_size = 512_B;
  options.backing_name = std::string(500, 'x');
  MemoryFile file;
  EXPECT_EQ(create(file, nullptr, options).error().kind, ErrorKind::BadUsage);
  EXPECT_TRUE(file.size()->is_zero());
}

TEST(Qcow2Create, RefusesADiskThatNoL1TableCanMap) {
  CreateOptions options = small_image();
  options.size = ByteCount(std::uint64_t{1} << 62);
  EXPECT_EQ(check_options(options).error().kind, ErrorKind::BadUsage);
}

}  // namespace
}  // namespace flatimg::qcow2
