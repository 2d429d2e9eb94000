#include "android_sparse/sparse_image.h"

#include <gtest/gtest.h>

#include "support/matchers.h"
#include "support/sparse_builder.h"
#include "view/disk.h"

namespace flatimg::android_sparse {
namespace {

using test::FailsWith;
using test::letters;
using test::SparseBuilder;
using test::SparseShape;
using test::Succeeds;

std::unique_ptr<Disk> disk_of(std::initializer_list<const SparseBuilder*> images) {
  std::vector<std::unique_ptr<HostFile>> pieces;
  for (const SparseBuilder* image : images) pieces.push_back(image->file());
  auto opened = SparseImage::open(std::move(pieces), "");
  EXPECT_TRUE(opened) << opened.error().text;
  std::vector<std::unique_ptr<Image>> chain;
  chain.push_back(*std::move(opened));
  return std::make_unique<Disk>(std::move(chain), DiskOptions{});
}

std::string read(Disk& disk, std::uint64_t at, std::size_t length) {
  std::vector<std::byte> out(length, std::byte{0xee});
  EXPECT_THAT(disk.read(GuestOffset(at), out), Succeeds());
  return test::text_of(out);
}

// All of it at once, and in odd pieces.
void expect_shows(Disk& disk, const std::string& expected) {
  ASSERT_EQ(disk.size().value(), expected.size());
  EXPECT_TRUE(read(disk, 0, expected.size()) == expected);
  for (std::size_t at = 0; at < expected.size(); at += 1237) {
    const std::size_t length = std::min<std::size_t>(2503, expected.size() - at);
    ASSERT_TRUE(read(disk, at, length) == expected.substr(at, length)) << at;
  }
}

SparseBuilder every_kind(const SparseShape& shape = {}) {
  SparseBuilder image(shape);
  (void)image.raw(letters(3 * shape.block, 1));
  (void)image.fill(0x12345678, 2);
  (void)image.crc32(1);
  (void)image.raw(letters(shape.block, 2));
  (void)image.dont_care(3);
  (void)image.fill(0, 2);
  (void)image.fill(0x64636261, 1);
  (void)image.crc32(2);
  return image;
}

TEST(SparseImage, ShowsEveryKindOfChunk) {
  const SparseBuilder image = every_kind();
  expect_shows(*disk_of({&image}), image.disk());
}

TEST(SparseImage, SkipsWhatItDoesNotKnowOfLargerHeaders) {
  for (const SparseShape& shape :
       {SparseShape{4096, 32, 12}, SparseShape{4096, 28, 16}, SparseShape{4096, 4097, 999}}) {
    const SparseBuilder image = every_kind(shape);
    expect_shows(*disk_of({&image}), image.disk());
  }
}

TEST(SparseImage, TakesEveryBlockSizeThatIsAMultipleOf4) {
  for (const std::uint32_t block : {4u, 12u, 512u, 1020u, 5000u, 65536u}) {
    const SparseBuilder image = every_kind({block, 28, 12});
    expect_shows(*disk_of({&image}), image.disk());
  }
}

TEST(SparseImage, TakesWhatIsOddButHarmless) {
  SparseBuilder image;
  image.put16(6, 7);                       // minor version
  image.put16(image.dont_care(0) + 2, 9);  // reserved, and without blocks
  (void)image.raw(letters(4096, 3));
  (void)image.raw("");
  image.put32(image.crc32(0) + 4, 77);  // a checksum that claims blocks
  (void)image.fill(0, 0);
  image.trailing("what follows");
  expect_shows(*disk_of({&image}), image.disk());
}

TEST(SparseImage, MayBeEmpty) {
  const SparseBuilder image;
  EXPECT_EQ(disk_of({&image})->size(), 0_B);
}

TEST(SparseImage, HasHolesWhereNothingIsStoredAndNowhereElse) {
  const SparseBuilder image = every_kind();
  const auto disk = disk_of({&image});
  EXPECT_EQ(disk->next_data(GuestOffset(0)).value(), GuestOffset(0));
  EXPECT_EQ(disk->next_hole(GuestOffset(0)).value(), GuestOffset(6 * 4096));
  EXPECT_EQ(disk->next_data(GuestOffset(6 * 4096 + 1)).value(), GuestOffset(11 * 4096));
  EXPECT_EQ(disk->next_hole(GuestOffset(11 * 4096)).value(), GuestOffset(12 * 4096));
  EXPECT_EQ(disk->data_bytes(), 7_KiB * 4);
}

TEST(SparseImage, TellsRecordedZeroesFromNothing) {
  const SparseBuilder image = every_kind();
  const auto disk = disk_of({&image});
  const auto zeroes_at = [&](std::uint64_t block) {
    const auto piece = disk->resolve({GuestOffset(block * 4096), 4096_B}, Look::Data);
    return std::get<Zeroes>(piece.value().extent.source);
  };
  EXPECT_FALSE(zeroes_at(6).recorded);
  EXPECT_TRUE(zeroes_at(9).recorded);
}

TEST(SparseImage, ServesAFillOfTebibytesWithoutWritingItOut) {
  SparseBuilder image({1u << 20, 28, 12});
  (void)image.chunk(0xCAC2, 16u << 20, "wxyz");  // 16 TiB
  const auto disk = disk_of({&image});
  EXPECT_EQ(disk->size().value(), std::uint64_t{16} << 40);
  EXPECT_EQ(read(*disk, (std::uint64_t{16} << 40) - 7, 7), "xyzwxyz");
  EXPECT_EQ(disk->next_hole(GuestOffset(0)).value().value(), std::uint64_t{16} << 40);
}

TEST(SparseImage, IsNeverWritten) {
  const SparseBuilder image = every_kind();
  const auto disk = disk_of({&image});
  EXPECT_FALSE(disk->writable());
  EXPECT_THAT(disk->write(GuestOffset(0), test::bytes_of("x")), FailsWith(ErrorKind::Denied, "read-only"));
}

// --- pieces ---------------------------------------------------------------------------------------------------------

TEST(SparsePieces, ShowThroughWhereTheLaterOneDoesNotCare) {
  SparseBuilder first;
  (void)first.raw(letters(4 * 4096, 1));
  (void)first.fill(7, 2);
  (void)first.dont_care(2);
  SparseBuilder second;
  (void)second.dont_care(1);
  (void)second.raw(letters(4096, 2));
  (void)second.dont_care(3);
  (void)second.fill(0, 1);
  (void)second.dont_care(1);
  (void)second.raw(letters(4096, 3));
  std::string expected = first.disk();
  expected.replace(4096, 4096, letters(4096, 2));
  expected.replace(5 * 4096, 4096, std::string(4096, '\0'));
  expected.replace(7 * 4096, 4096, letters(4096, 3));
  expect_shows(*disk_of({&first, &second}), expected);
}

TEST(SparsePieces, OfOneDiskAreAsGoodAsOneFile) {
  constexpr unsigned kPieces = 40;
  std::vector<SparseBuilder> pieces;
  std::string expected;
  for (unsigned n = 0; n < kPieces; ++n) {
    SparseBuilder piece;
    if (n > 0) (void)piece.dont_care(n * 3);
    (void)piece.raw(letters(2 * 4096, n));
    (void)piece.fill(n, 1);
    if (n + 1 < kPieces) (void)piece.dont_care((kPieces - n - 1) * 3);
    expected += piece.disk().substr(std::size_t{n} * 3 * 4096, 3 * 4096);
    pieces.push_back(std::move(piece));
  }
  std::vector<std::unique_ptr<HostFile>> files;
  for (const SparseBuilder& piece : pieces) files.push_back(piece.file());
  std::vector<std::unique_ptr<Image>> chain;
  chain.push_back(SparseImage::open(std::move(files), "").value());
  Disk disk(std::move(chain), DiskOptions{});
  expect_shows(disk, expected);
}

TEST(SparsePieces, OfOtherDisksAreRefused) {
  SparseBuilder first;
  (void)first.dont_care(4);
  SparseBuilder other_size;
  (void)other_size.dont_care(5);
  SparseBuilder other_block({2048, 28, 12});
  (void)other_block.dont_care(4);
  for (const SparseBuilder* other : {&other_size, &other_block}) {
    std::vector<std::unique_ptr<HostFile>> pieces;
    pieces.push_back(first.file("a"));
    pieces.push_back(other->file("b"));
    EXPECT_THAT(SparseImage::open(std::move(pieces), ""),
                FailsWith(ErrorKind::InvalidImage, "they are no pieces of one image"));
  }
}

}  // namespace
}  // namespace flatimg::android_sparse
