// Writing: what is allocated where, what is given back, and what the host sees of it.
#include "engine/qcow1/open_disk.h"
#include "qcow1/check.h"
#include "raw/raw_image.h"
#include "support/faulty_file.h"
#include "support/recording_file.h"

namespace flatimg::qcow1 {
namespace {

using test::content_of;
using test::open_disk;
using test::Operation;
using test::Qcow1Builder;
using test::Succeeds;

std::unique_ptr<Image> raw_below(std::span<const std::byte> content) {
  return std::move(*raw::RawImage::open(test::MemoryFile::containing(content, "base", Access::ReadOnly), {}));
}

std::size_t barriers(const test::Recording& recording) {
  const auto operations = recording.operations();
  return static_cast<std::size_t>(std::ranges::count(operations, Operation::Kind::Barrier, &Operation::kind));
}

void expect_clean(HostFile& file) {
  const auto header = read_header(file);
  ASSERT_THAT(header, Succeeds());
  const auto report = check(file, *header);
  ASSERT_THAT(report, Succeeds());
  EXPECT_EQ(report->corruptions, 0u) << report->sentences[0];
}

TEST(Qcow1Write, OpeningChangesNothing) {
  const Qcow1Builder image;
  auto recording = std::make_shared<test::Recording>();
  auto disk = open_disk(std::make_unique<test::RecordingFile>(image.file(), recording), test::writing());
  ASSERT_THAT(disk, Succeeds());
  ASSERT_THAT((*disk)->close(), Succeeds());
  EXPECT_TRUE(recording->operations().empty());
}

TEST(Qcow1Write, PartialClustersKeepWhatLiesBelow) {
  const Qcow1Builder image({.size = 1u << 20, .backing = "base"});  // clusters of 4 KiB, which QEMU does not copy
  auto base = test::noise(1u << 20, 7);
  auto file = image.file();
  auto* const memory = file.get();
  auto disk = open_disk(std::move(file), test::writing(), raw_below(base));
  ASSERT_THAT(disk, Succeeds());
  const auto data = test::noise(5000, 8);
  ASSERT_THAT((*disk)->write(GuestOffset(10000), data), Succeeds());
  std::ranges::copy(data, base.begin() + 10000);
  EXPECT_EQ(content_of(**disk), base);
  ASSERT_THAT((*disk)->zero({GuestOffset(50000), 20000_B}, Space::Release), Succeeds());
  ASSERT_THAT((*disk)->zero({GuestOffset(9000), 3000_B}, Space::Release), Succeeds());
  std::fill_n(base.begin() + 50000, 20000, std::byte{0});
  std::fill_n(base.begin() + 9000, 3000, std::byte{0});
  EXPECT_EQ(content_of(**disk), base);
  ASSERT_THAT((*disk)->flush(), Succeeds());
  expect_clean(*memory);
}

// The format lets it stand anywhere.
TEST(Qcow1Write, ABackingFileNameBehindTheTablesIsNotOverwritten) {
  Qcow1Builder image({.backing = "base"});
  const std::uint64_t name = image.add(4, 1);
  image.put_bytes(name, test::bytes_of("base"));
  image.put64(8, name);
  auto file = image.file();
  auto* const memory = file.get();
  auto disk = open_disk(std::move(file), test::writing(), raw_below(test::noise(1u << 20, 3)));
  ASSERT_THAT(disk, Succeeds());
  ASSERT_THAT((*disk)->write(GuestOffset(0), test::noise(1u << 20, 4)), Succeeds());
  ASSERT_THAT((*disk)->flush(), Succeeds());
  EXPECT_EQ(read_header(*memory)->backing_name, "base");
  expect_clean(*memory);
}

TEST(Qcow1Write, DataOnTheBackingFileNameIsNeverWritten) {
  Qcow1Builder image({.backing = "base"});
  const std::uint64_t name = image.add_data(0) + 512;
  image.put_bytes(name, test::bytes_of("base"));
  image.put64(8, name);
  const auto opened = test::open_qcow1(image.file(), test::writing());
  ASSERT_THAT(opened, Succeeds());
  EXPECT_FALSE((*opened)->traits().writable);
  const auto file = image.file();
  const auto report = check(*file, *read_header(*file));
  ASSERT_THAT(report, Succeeds());
  EXPECT_EQ(report->sentences, std::vector{fmt::format("ERROR: the data from guest byte 0 on and the backing file name "
                                                       "are stored in the same place, at byte {}",
                                                       name)});
}

TEST(Qcow1Write, ClosingGoesOnBehindAnErrorAndReportsIt) {
  const Qcow1Builder image;
  const std::shared_ptr<HostFile> host = image.file();
  auto faulty = std::make_unique<test::FaultyFile>(host);
  auto* const fault = faulty.get();
  auto disk = open_disk(std::move(faulty), test::writing());
  ASSERT_THAT(disk, Succeeds());
  const auto data = test::noise(4096, 1);
  ASSERT_THAT((*disk)->write(GuestOffset(0), data), Succeeds());
  fault->plan({.calls = {test::Call::Write}});
  EXPECT_THAT((*disk)->top().close(), test::FailsWith(ErrorKind::Io, ""));
  EXPECT_EQ(*host->size(), ByteCount(image.end()) + 4096_B);  // nothing that was reserved is left
  disk = open_disk(std::make_unique<test::ForwardingFile>(host), {});
  ASSERT_THAT(disk, Succeeds());
  auto content = content_of(**disk);
  content.resize(data.size());
  EXPECT_EQ(content, data);
}

TEST(Qcow1Write, ALargeWriteIsOneRun) {
  const Qcow1Builder image;
  auto recording = std::make_shared<test::Recording>();
  auto disk = open_disk(std::make_unique<test::RecordingFile>(image.file(), recording), test::writing());
  ASSERT_THAT(disk, Succeeds());
  ASSERT_THAT((*disk)->write(GuestOffset(0), test::noise(1u << 20, 9)), Succeeds());
  const auto operations = recording->operations();
  EXPECT_EQ(std::ranges::count(operations, Operation::Kind::Write, &Operation::kind), 1);
}

TEST(Qcow1Write, AFreshClusterAndItsFlushTakeOneBarrierOnceTheFileHasGrown) {
  const Qcow1Builder image;
  auto recording = std::make_shared<test::Recording>();
  auto disk = open_disk(std::make_unique<test::RecordingFile>(image.file(), recording), test::writing());
  ASSERT_THAT(disk, Succeeds());
  ASSERT_THAT((*disk)->write(GuestOffset(0), test::noise(4096, 1)), Succeeds());
  ASSERT_THAT((*disk)->flush(), Succeeds());
  const auto before = barriers(*recording);
  EXPECT_EQ(before, 2u);
  ASSERT_THAT((*disk)->write(GuestOffset(8192), test::noise(4096, 2)), Succeeds());
  ASSERT_THAT((*disk)->flush(), Succeeds());
  EXPECT_EQ(barriers(*recording), before + 1);
}

TEST(Qcow1Write, TheFileIsCutToItsEndAtClose) {
  const Qcow1Builder image;
  auto file = image.file();
  auto recording = std::make_shared<test::Recording>();
  auto disk = open_disk(std::make_unique<test::RecordingFile>(std::move(file), recording), test::writing());
  ASSERT_THAT(disk, Succeeds());
  ASSERT_THAT((*disk)->write(GuestOffset(0), test::noise(4096, 1)), Succeeds());
  ASSERT_THAT((*disk)->close(), Succeeds());
  const auto operations = recording->operations();
  const auto last = std::ranges::find_if(operations.rbegin(), operations.rend(), [](const Operation& operation) {
    return operation.kind == Operation::Kind::Resize;
  });
  ASSERT_NE(last, operations.rend());
  EXPECT_EQ(last->where.length.value(), (image.end() + 4095) / 4096 * 4096 + 4096);
}

TEST(Qcow1Write, DiscardedClustersBecomeHolesAndAreTakenAgain) {
  const Qcow1Builder image;
  auto file = image.file();
  auto* const memory = file.get();
  auto disk = open_disk(std::move(file), test::writing());
  ASSERT_THAT(disk, Succeeds());
  ASSERT_THAT((*disk)->write(GuestOffset(0), test::noise(1u << 20, 1)), Succeeds());
  ASSERT_THAT((*disk)->flush(), Succeeds());
  const auto full = memory->allocated()->value();
  ASSERT_THAT((*disk)->zero({GuestOffset(0), 1_MiB}, Space::Release), Succeeds());
  EXPECT_EQ((*disk)->data_bytes(), 0_B);
  ASSERT_THAT((*disk)->flush(), Succeeds());
  EXPECT_LE(memory->allocated()->value() + (1u << 20), full);
  const auto again = test::noise(1u << 20, 2);
  ASSERT_THAT((*disk)->write(GuestOffset(4u << 20), again), Succeeds());
  ASSERT_THAT((*disk)->top().close(), Succeeds());
  EXPECT_LT(memory->size()->value(), 2u << 20);
  const auto content = content_of(**disk);
  EXPECT_TRUE(std::equal(again.begin(), again.end(), content.begin() + (4 << 20)));
  EXPECT_EQ(std::count(content.begin(), content.begin() + (1 << 20), std::byte{0}), 1 << 20);
  expect_clean(*memory);
}

TEST(Qcow1Write, NothingIsTakenAgainBeforeTheFlush) {
  const Qcow1Builder image;
  auto file = image.file();
  auto* const memory = file.get();
  auto disk = open_disk(std::move(file), test::writing());
  ASSERT_THAT(disk, Succeeds());
  const auto first = test::noise(4096, 1);
  ASSERT_THAT((*disk)->write(GuestOffset(0), first), Succeeds());
  ASSERT_THAT((*disk)->flush(), Succeeds());
  ASSERT_THAT((*disk)->zero({GuestOffset(0), 4096_B}, Space::Release), Succeeds());
  ASSERT_THAT((*disk)->write(GuestOffset(8192), test::noise(4096, 2)), Succeeds());
  auto as_after_a_crash = open_disk(memory->copy(), {});
  ASSERT_THAT(as_after_a_crash, Succeeds());
  const auto content = content_of(**as_after_a_crash);
  EXPECT_TRUE(std::equal(first.begin(), first.end(), content.begin()));
}

TEST(Qcow1Write, AnL1TableIsWrittenWithoutWhatFollowsIt) {
  Qcow1Builder image({.cluster_bits = 9, .l2_bits = 6, .size = 64u << 10});  // two L1 entries
  image.put64(image.l1_table() + 16, 0x1122334455667788);
  auto file = image.file();
  auto* const memory = file.get();
  auto disk = open_disk(std::move(file), test::writing());
  ASSERT_THAT(disk, Succeeds());
  ASSERT_THAT((*disk)->write(GuestOffset(40u << 10), test::noise(512, 1)), Succeeds());
  ASSERT_THAT((*disk)->flush(), Succeeds());
  std::vector<std::byte> word(8);
  ASSERT_THAT(memory->read(HostOffset(image.l1_table() + 16), word), Succeeds());
  EXPECT_EQ(load_be<std::uint64_t>(word, 0), 0x1122334455667788u);
}

TEST(Qcow1Write, AnEmptiedOverlayShowsWhatLiesBelow) {
  const Qcow1Builder image({.size = 1u << 20, .backing = "base"});
  const auto base = test::noise(1u << 20, 7);
  auto file = image.file();
  auto* const memory = file.get();
  auto disk = open_disk(std::move(file), test::writing(), raw_below(base));
  ASSERT_THAT(disk, Succeeds());
  ASSERT_THAT((*disk)->write(GuestOffset(10000), test::noise(5000, 8)), Succeeds());
  ASSERT_THAT((*disk)->empty(), Succeeds());
  EXPECT_EQ(content_of(**disk), base);
  ASSERT_THAT((*disk)->write(GuestOffset(10000), test::noise(5000, 9)), Succeeds());
  ASSERT_THAT((*disk)->flush(), Succeeds());
  expect_clean(*memory);
}

}  // namespace
}  // namespace flatimg::qcow1
