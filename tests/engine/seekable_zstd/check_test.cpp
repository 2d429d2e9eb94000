#include "seekable_zstd/check.h"

#include <gtest/gtest.h>

#include "support/matchers.h"
#include "support/zstd_builder.h"

namespace flatimg::seekable_zstd {
namespace {

using test::letters;
using test::ZstdBuilder;

constexpr ByteCount kMost = 16_MiB;

CheckReport report_on(const ZstdBuilder& image) {
  const auto file = image.file();
  auto report = check(*file, kMost);
  EXPECT_TRUE(report) << report.error().text;
  return *report;
}
CheckReport data_report_on(const ZstdBuilder& image) {
  const auto file = image.file();
  auto report = check_with_data(*file, kMost);
  EXPECT_TRUE(report) << report.error().text;
  return *report;
}

ZstdBuilder three_frames() {
  ZstdBuilder image;
  image.skippable("in front");
  for (unsigned n = 0; n < 3; ++n) image.frame(letters(1000, n));
  image.frame("");
  return image;
}

TEST(ZstdCheck, FindsNothingInASoundFile) {
  for (const bool with_table : {false, true}) {
    ZstdBuilder image = three_frames();
    if (with_table) image.finish(ZstdBuilder::Checksums::InTable);
    EXPECT_EQ(report_on(image).corruptions, 0u);
    const CheckReport report = data_report_on(image);
    EXPECT_EQ(report.corruptions, 0u);
    EXPECT_EQ(report.check_errors, 0u);
    EXPECT_TRUE(report.sentences.empty());
    EXPECT_EQ(report.compressed_clusters, 3u);
  }
}

TEST(ZstdCheck, FindsATableThatTellsOfOtherFrames) {
  ZstdBuilder image = three_frames();
  ++image.entries()[1].stored;
  --image.entries()[2].stored;
  image.finish();
  const CheckReport report = report_on(image);
  EXPECT_EQ(report.corruptions, 3u) << ::testing::PrintToString(report.sentences);
}

TEST(ZstdCheck, FindsATableThatTellsOfOtherContents) {
  ZstdBuilder image = three_frames();
  ++image.entries()[1].content;
  image.entries()[2].content = 0;
  image.finish();
  const CheckReport report = report_on(image);
  EXPECT_EQ(report.corruptions, 2u) << ::testing::PrintToString(report.sentences);
}

TEST(ZstdCheck, FindsDamagedDataOnlyWhenItDecodes) {
  ZstdBuilder image;
  (void)image.frame(letters(1000, 1));
  const std::size_t at = image.frame(letters(1000, 2));
  (void)image.frame(letters(1000, 3));
  image.finish(ZstdBuilder::Checksums::InTable);
  image.put8(at + 500, 1);
  EXPECT_EQ(report_on(image).corruptions, 0u);
  const CheckReport report = data_report_on(image);
  EXPECT_EQ(report.corruptions, 1u);
  ASSERT_EQ(report.sentences.size(), 1u);
  EXPECT_NE(report.sentences[0].find(fmt::format("the frame at byte {}", at)), std::string::npos);
}

}  // namespace
}  // namespace flatimg::seekable_zstd
