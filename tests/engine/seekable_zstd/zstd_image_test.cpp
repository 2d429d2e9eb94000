#include "seekable_zstd/zstd_image.h"

#include <gtest/gtest.h>

#include <thread>

#include "support/matchers.h"
#include "support/zstd_builder.h"
#include "view/disk.h"

namespace flatimg::seekable_zstd {
namespace {

using test::FailsWith;
using test::letters;
using test::Succeeds;
using test::ZstdBuilder;
using Size = ZstdBuilder::Size;
using Checksums = ZstdBuilder::Checksums;

constexpr ByteCount kBudget = 4_MiB;

Result<std::unique_ptr<ZstdImage>> open(const ZstdBuilder& image, ByteCount budget = kBudget) {
  return ZstdImage::open(image.file(), {budget, ""});
}

std::unique_ptr<Disk> disk_of(const ZstdBuilder& image, ByteCount budget = kBudget) {
  auto opened = open(image, budget);
  EXPECT_TRUE(opened) << opened.error().text;
  std::vector<std::unique_ptr<Image>> chain;
  chain.push_back(*std::move(opened));
  return std::make_unique<Disk>(std::move(chain), DiskOptions{});
}

void expect_shows(Disk& disk, const std::string& expected) {
  ASSERT_EQ(disk.size().value(), expected.size());
  std::vector<std::byte> out(expected.size());
  ASSERT_THAT(disk.read(GuestOffset(0), out), Succeeds());
  EXPECT_TRUE(test::text_of(out) == expected);
  for (std::size_t at = 0; at < expected.size(); at += 12'347) {
    const auto part = std::span(out).first(std::min<std::size_t>(25'013, expected.size() - at));
    ASSERT_THAT(disk.read(GuestOffset(at), part), Succeeds());
    ASSERT_TRUE(test::text_of(part) == expected.substr(at, part.size())) << at;
  }
}

// Frames of all lengths, empty and skippable ones among them.
ZstdBuilder mixed(Size size = Size::Stated) {
  ZstdBuilder image;
  image.skippable("metadata");
  for (unsigned n = 0; n < 100; ++n) {
    image.frame(n % 3 == 0 ? std::string(n * 777, 'a') : letters(n * 331 + 1, n), size);
    if (n % 10 == 3) image.frame("", size);
    if (n % 10 == 5) image.skippable(letters(n, n), 0x184D2A50 + n % 16);
  }
  return image;
}

TEST(ZstdImage, ShowsWhatItsSeekTableTells) {
  for (const Checksums checksums : {Checksums::None, Checksums::InTable}) {
    ZstdBuilder image = mixed();
    image.finish(checksums);
    expect_shows(*disk_of(image), image.disk());
    EXPECT_EQ(open(image).value()->source(), FileFrames::Source::SeekTable);
  }
}

TEST(ZstdImage, ShowsFramesWithoutATable) {
  const ZstdBuilder image = mixed();
  expect_shows(*disk_of(image), image.disk());
  EXPECT_EQ(open(image).value()->source(), FileFrames::Source::Scan);
}

TEST(ZstdImage, ShowsFramesThatDoNotStateTheirSize) {
  const ZstdBuilder image = mixed(Size::Unstated);
  expect_shows(*disk_of(image), image.disk());
  EXPECT_EQ(open(image).value()->source(), FileFrames::Source::Decoding);
}

TEST(ZstdImage, MayHoldNothing) {
  ZstdBuilder image;
  image.skippable("just this");
  EXPECT_EQ(disk_of(image)->size(), 0_B);
  image.finish();
  EXPECT_EQ(disk_of(image)->size(), 0_B);
}

TEST(ZstdImage, IgnoresTheUnusedBitsOfTheTable) {
  ZstdBuilder image = mixed();
  image.finish();
  image.put8(image.end() - 5, 3);
  expect_shows(*disk_of(image), image.disk());
}

TEST(ZstdImage, IsReadByManyThreadsAtOnce) {
  ZstdBuilder image = mixed();
  image.finish(Checksums::InTable);
  const auto disk = disk_of(image, 512_KiB);
  std::vector<std::jthread> threads;
  for (unsigned n = 0; n < 8; ++n) threads.emplace_back([&] { expect_shows(*disk, image.disk()); });
}

TEST(ZstdImage, DecodesAFrameOnceForManySmallReads) {
  ZstdBuilder image;
  image.frame(letters(100'000, 1));
  const auto disk = disk_of(image);
  std::vector<std::byte> out(100);
  for (std::size_t at = 0; at < 100'000; at += 100) ASSERT_THAT(disk->read(GuestOffset(at), out), Succeeds());
  for (const auto& [name, count] : disk->counters()) {
    if (name == "decoded-cache-misses") {
      EXPECT_EQ(count, 1u);
    }
  }
}

TEST(ZstdImage, KeepsTheLargestFrameThatItTakes) {
  ZstdBuilder image;
  image.frame(letters(1u << 20, 1));
  const auto disk = disk_of(image, 4_MiB);
  std::vector<std::byte> out(100);
  for (std::size_t at = 0; at < 1u << 20; at += 5000) ASSERT_THAT(disk->read(GuestOffset(at), out), Succeeds());
  EXPECT_EQ(disk->counters()[2].second, 1u) << disk->counters()[2].first;
}

TEST(ZstdImage, TakesNoFrameThatItsBudgetDoesNotHold) {
  ZstdBuilder stated;
  stated.frame(letters((1u << 20) + 1, 1));
  ZstdBuilder unstated;
  unstated.frame(std::string((1u << 20) + 1, 'a') + letters(10, 1), Size::Unstated);
  ZstdBuilder listed = stated;
  listed.finish();
  ZstdBuilder incompressible;
  incompressible.frame(letters(3u << 20, 1), Size::Unstated);
  ZstdBuilder bomb;
  bomb.add(ZstdBuilder::bomb(1000), "");
  for (const ZstdBuilder* image : {&stated, &unstated, &listed, &incompressible, &bomb}) {
    const auto opened = open(*image, 4_MiB);
    ASSERT_THAT(opened, FailsWith(ErrorKind::Limit,
                                  "raise cache-size, use unpack=on, or make a file with smaller frames: "
                                  "flatimg convert -O zstd disk.zst NEW.zst"));
    EXPECT_EQ(opened.error().text.find('\n'), std::string::npos);
  }
  EXPECT_THAT(open(stated, 8_MiB), Succeeds());
  EXPECT_THAT(open(unstated, 8_MiB), Succeeds());
  EXPECT_THAT(open(incompressible, 16_MiB), Succeeds());
}

TEST(ZstdImage, NoticesWhenAFrameIsNotWhatTheTableSays) {
  const auto read_all = [](const ZstdBuilder& image) {
    const auto disk = disk_of(image);
    std::vector<std::byte> out(disk->size().value());
    return disk->read(GuestOffset(0), out);
  };
  const auto with = [](unsigned member) {
    ZstdBuilder image;
    image.frame(letters(1000, 1));
    image.frame(letters(1000, 2));
    auto& entries = image.entries();
    if (member == 0) --entries[0].content, ++entries[1].content;
    if (member == 1) ++entries[0].content, --entries[1].content;
    if (member == 2) ++entries[0].checksum;
    if (member == 3) ++entries[0].stored, --entries[1].stored;
    image.finish(Checksums::InTable);
    return image;
  };
  EXPECT_THAT(read_all(with(0)), FailsWith(ErrorKind::CorruptImage, "holds more than 999 bytes"));
  EXPECT_THAT(read_all(with(1)), FailsWith(ErrorKind::CorruptImage, "holds 1000 bytes instead of 1001"));
  EXPECT_THAT(read_all(with(2)), FailsWith(ErrorKind::CorruptImage, "the checksum"));
  EXPECT_THAT(read_all(with(3)), FailsWith(ErrorKind::CorruptImage, "ends where it should not"));
  EXPECT_THAT(read_all(with(4)), Succeeds());
}

TEST(ZstdImage, NoticesDamagedData) {
  ZstdBuilder image;
  const std::size_t at = image.frame(letters(1000, 1));
  image.finish(Checksums::InTable);
  image.put8(at + 500, 1);
  const auto disk = disk_of(image);
  std::vector<std::byte> out(1000);
  EXPECT_THAT(disk->read(GuestOffset(0), out), FailsWith(ErrorKind::CorruptImage, "the frame at byte 0"));
}

}  // namespace
}  // namespace flatimg::seekable_zstd
