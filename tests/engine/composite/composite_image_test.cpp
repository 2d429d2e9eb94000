#include "composite/composite_image.h"

#include <gmock/gmock.h>

#include "raw/raw_image.h"
#include "support/faulty_file.h"
#include "support/matchers.h"
#include "support/memory_file.h"
#include "support/recording_file.h"
#include "view/disk.h"

namespace flatimg::composite {
namespace {

using test::FailsWith;
using test::MemoryFile;
using test::noise;
using test::Operation;
using test::Succeeds;

constexpr std::uint64_t kPart = 10000;

// Raw parts of 10000 bytes in memory, one behind the other; each byte of part n is 'a' + n.
class CompositeDisk : public ::testing::Test {
 protected:
  struct Shape {
    Access access = Access::ReadWrite;
    std::uint64_t file_size = kPart;
    std::uint64_t file_offset = 0;
  };

  void add(const Shape& shape) {
    const auto number = static_cast<char>(parts_.size());
    const std::string content(shape.file_size, static_cast<char>('a' + number));
    auto memory = MemoryFile::containing(test::bytes_of(content), "part", shape.access);
    memories_.push_back(memory.get());
    OpenPart part{
        {"part", {GuestOffset(kPart * parts_.size()), ByteCount(kPart)}, ByteCount(shape.file_offset), 0}, "part", {}};
    auto file = std::make_unique<test::RecordingFile>(std::move(memory), recording_);
    part.chain.push_back(raw::RawImage::open(std::move(file), {}).value());
    parts_.push_back(std::move(part));
  }
  Result<std::unique_ptr<CompositeImage>> open_image(Access access = Access::ReadWrite) {
    const ByteCount size(kPart * parts_.size());
    return CompositeImage::open(std::make_unique<MemoryFile>("disk", access), size, std::move(parts_));
  }
  std::unique_ptr<Disk> open(Access access = Access::ReadWrite) {
    std::vector<std::unique_ptr<Image>> chain;
    chain.push_back(open_image(access).value());
    return std::make_unique<Disk>(std::move(chain), DiskOptions{});
  }
  static std::string text_at(Disk& disk, std::uint64_t at, std::size_t length) {
    std::string text(length, '?');
    EXPECT_THAT(disk.read(GuestOffset(at), std::as_writable_bytes(std::span(text))), Succeeds());
    return text;
  }
  // The files that had a barrier since the last call.
  std::vector<unsigned> barriers() {
    std::vector<unsigned> files;
    for (const Operation& operation : recording_->operations()) {
      if (operation.kind == Operation::Kind::Barrier) files.push_back(operation.file);
    }
    recording_->clear();
    return files;
  }

  std::shared_ptr<test::Recording> recording_ = std::make_shared<test::Recording>();
  std::vector<MemoryFile*> memories_;
  std::vector<OpenPart> parts_;
};

TEST_F(CompositeDisk, ReadsAcrossTheBordersOfItsParts) {
  for (int n = 0; n < 3; ++n) add({});
  const auto disk = open();
  EXPECT_EQ(disk->size(), ByteCount(3 * kPart));
  EXPECT_EQ(text_at(*disk, kPart - 2, 4), "aabb");
  EXPECT_EQ(text_at(*disk, kPart - 1, kPart + 2), "a" + std::string(kPart, 'b') + "c");
  std::array<std::byte, 2> beyond{};
  EXPECT_THAT(disk->read(GuestOffset(3 * kPart - 1), beyond), FailsWith(ErrorKind::OutOfRange, "not within"));
}

TEST_F(CompositeDisk, BeginsAPartAtItsFileOffset) {
  add({.file_size = kPart + 3, .file_offset = 3});
  add({});
  const auto disk = open();
  ASSERT_THAT(disk->write(GuestOffset(0), test::bytes_of("xy")), Succeeds());
  EXPECT_EQ(test::text_of(memories_[0]->contents()).substr(0, 6), "aaaxya");
}

TEST_F(CompositeDisk, WritesToEachPartItsShare) {
  for (int n = 0; n < 3; ++n) add({});
  const auto disk = open();
  const auto data = noise(kPart + 200, 1);
  ASSERT_THAT(disk->write(GuestOffset(kPart - 100), data), Succeeds());
  std::vector<std::byte> read(data.size());
  ASSERT_THAT(disk->read(GuestOffset(kPart - 100), read), Succeeds());
  EXPECT_EQ(read, data);
  for (const MemoryFile* file : memories_) EXPECT_EQ(file->contents().size(), kPart) << "nothing behind the end";
  EXPECT_EQ(memories_[2]->contents()[100], std::byte{'c'});
}

TEST_F(CompositeDisk, ChangesNothingWhenAPartOfAWriteIsReadOnly) {
  add({});
  add({Access::ReadOnly});
  add({});
  const auto disk = open();
  EXPECT_TRUE(disk->writable());
  const GuestRange across{GuestOffset(kPart - 100), ByteCount(kPart + 200)};
  const std::vector<std::byte> data(across.length.value());
  EXPECT_THAT(disk->write(across.begin, data),
              FailsWith(ErrorKind::Denied, "part: this part of the disk is read-only"));
  EXPECT_THAT(disk->zero(across, Space::Release), FailsWith(ErrorKind::Denied, "read-only"));
  EXPECT_THAT(disk->allocate(across), FailsWith(ErrorKind::Denied, "read-only"));
  EXPECT_TRUE(recording_->operations().empty());
  EXPECT_EQ(text_at(*disk, kPart - 100, 100), std::string(100, 'a'));
}

TEST_F(CompositeDisk, OfReadOnlyPartsIsReadOnlyAndSaysWhy) {
  add({Access::ReadOnly});
  const auto disk = open();
  EXPECT_FALSE(disk->writable());
  EXPECT_EQ(disk->traits().read_only_reason, "all its parts are read-only");
}

TEST_F(CompositeDisk, RefusesAPartThatEndsTooEarlyWhenItMayBeWritten) {
  add({.file_size = kPart - 7});
  add({});
  EXPECT_THAT(open_image(), FailsWith(ErrorKind::InvalidImage, "disk: the part \"part\" ends 7 bytes before"));
}

TEST_F(CompositeDisk, ShowsZeroesWhereAReadOnlyPartEndsTooEarly) {
  add({.access = Access::ReadOnly, .file_size = 10});
  add({.access = Access::ReadOnly, .file_size = 10, .file_offset = 50});
  add({});
  const auto disk = open();
  EXPECT_EQ(text_at(*disk, 8, 4), std::string("aa\0\0", 4));
  EXPECT_EQ(text_at(*disk, kPart, kPart + 1), std::string(kPart, '\0') + "c");
  EXPECT_THAT(disk->write(GuestOffset(100), test::bytes_of("x")), FailsWith(ErrorKind::Denied, "read-only"));
  EXPECT_EQ(disk->next_hole(GuestOffset(0)).value(), GuestOffset(10));
  EXPECT_EQ(disk->next_data(GuestOffset(10)).value(), GuestOffset(2 * kPart));
}

TEST_F(CompositeDisk, FlushesWhatWasWrittenAndNothingElse) {
  for (int n = 0; n < 3; ++n) add({});
  const auto disk = open();
  ASSERT_THAT(disk->flush(), Succeeds());
  EXPECT_TRUE(barriers().empty());
  ASSERT_THAT(disk->write(GuestOffset(kPart), test::bytes_of("x")), Succeeds());
  ASSERT_THAT(disk->flush(), Succeeds());
  EXPECT_EQ(barriers(), std::vector<unsigned>{1});
  ASSERT_THAT(disk->zero({GuestOffset(kPart - 1), 2_B}, Space::Keep), Succeeds());
  ASSERT_THAT(disk->flush(), Succeeds());
  EXPECT_EQ(barriers(), (std::vector<unsigned>{0, 1}));
  ASSERT_THAT(disk->flush(), Succeeds());
  EXPECT_TRUE(barriers().empty());
}

TEST_F(CompositeDisk, CannotBeResized) {
  add({});
  const auto disk = open();
  EXPECT_THAT(disk->resize(ByteCount(5)), FailsWith(ErrorKind::Unsupported, "composite images cannot be resized"));
  EXPECT_THAT(disk->resize(ByteCount(kPart * 9)), FailsWith(ErrorKind::Unsupported, "cannot be resized"));
}

TEST_F(CompositeDisk, TellsDataAndHolesAcrossItsParts) {
  add({.file_size = 12288, .file_offset = 0});
  add({.file_size = 12288, .file_offset = 0});
  const auto disk = open();
  ASSERT_THAT(disk->zero({GuestOffset(4096), ByteCount(kPart)}, Space::Release), Succeeds());
  EXPECT_EQ(disk->next_hole(GuestOffset(0)).value(), GuestOffset(4096));
  const auto data = disk->next_data(GuestOffset(4096)).value();
  ASSERT_TRUE(data.has_value());
  EXPECT_GE(*data, GuestOffset(8192)) << "rounded to the blocks of the files";
  EXPECT_LE(disk->data_bytes(), disk->size());
}

TEST_F(CompositeDisk, BehindAnotherImageLeadsToThePart) {
  add({.file_size = kPart + 5, .file_offset = 5});
  add({.access = Access::ReadOnly, .file_size = 10});
  const auto image = open_image(Access::ReadOnly).value();
  const auto first = image->map({GuestOffset(9000), ByteCount(5000)}, Look::Data);
  ASSERT_THAT(first, Succeeds());
  EXPECT_EQ(first->where, (GuestRange{GuestOffset(9000), 1000_B}));
  EXPECT_EQ(std::get<Below>(first->source).at, GuestOffset(9005));
  EXPECT_EQ(std::get<Below>(first->source).image, image->parts()[0].image);
  const auto missing = image->map({GuestOffset(kPart + 10), ByteCount(5000)}, Look::Data);
  ASSERT_THAT(missing, Succeeds());
  EXPECT_TRUE(std::get<Zeroes>(missing->source).recorded);
}

TEST_F(CompositeDisk, GuardsTheFirstSectorOfAPartThatWasTakenForRaw) {
  add({});
  auto file = MemoryFile::containing(noise(kPart, 3));
  const auto guard = [](std::span<const std::byte>) -> Result<void> { return fail(ErrorKind::Denied, "guarded"); };
  OpenPart part{{"part", {GuestOffset(kPart), ByteCount(kPart)}, {}, 0}, "part", {}};
  part.chain.push_back(raw::RawImage::open(std::move(file), guard).value());
  parts_.push_back(std::move(part));
  const auto disk = open();
  EXPECT_THAT(disk->write(GuestOffset(0), test::bytes_of("x")), Succeeds());
  EXPECT_THAT(disk->write(GuestOffset(kPart + 511), test::bytes_of("x")), FailsWith(ErrorKind::Denied, "guarded"));
  EXPECT_THAT(disk->write(GuestOffset(kPart + 512), test::bytes_of("x")), Succeeds());
}

}  // namespace
}  // namespace flatimg::composite
