#include "android_sparse/check.h"

#include <gtest/gtest.h>

#include "android_sparse/header.h"
#include "support/matchers.h"
#include "support/sparse_builder.h"

namespace flatimg::android_sparse {
namespace {

using test::letters;
using test::SparseBuilder;

CheckReport report_on(const SparseBuilder& image) {
  const auto file = image.file();
  auto report = check(*file, read_header(*file).value());
  EXPECT_TRUE(report) << report.error().text;
  return *report;
}

SparseBuilder image_with(std::uint32_t (SparseBuilder::*counted)() const) {
  SparseBuilder image;
  (void)image.raw(letters(3 * 4096, 1));
  (void)image.crc32((image.*counted)());
  (void)image.fill(0x12345678, 50);
  (void)image.dont_care(20);
  (void)image.crc32((image.*counted)());
  (void)image.raw(letters(4096, 2));
  (void)image.crc32((image.*counted)());
  return image;
}

TEST(SparseCheck, AcceptsChecksumsAsTheFormatHasThem) {
  SparseBuilder image = image_with(&SparseBuilder::checksum);
  image.put32(24, image.checksum());
  const CheckReport report = report_on(image);
  EXPECT_EQ(report.corruptions, 0u);
  EXPECT_TRUE(report.sentences.empty());
  EXPECT_EQ(report.total_clusters, 74u);
  EXPECT_EQ(report.allocated_clusters, 54u);
}

TEST(SparseCheck, AcceptsChecksumsAsLibsparseWritesThem) {
  const SparseBuilder image = image_with(&SparseBuilder::checksum_of_libsparse);
  ASSERT_NE(image.checksum(), image.checksum_of_libsparse());
  EXPECT_EQ(report_on(image).corruptions, 0u);
}

TEST(SparseCheck, FindsWhatHasChangedSinceAChecksumWasTaken) {
  SparseBuilder image;
  const std::size_t data = image.raw(letters(4096, 1));
  (void)image.crc32(image.checksum());
  (void)image.fill(1, 9);
  (void)image.crc32(image.checksum());
  image.put32(24, image.checksum());
  image.put32(data + 12 + 100, 0xdeadbeef);
  const CheckReport report = report_on(image);
  EXPECT_EQ(report.corruptions, 3u);
  ASSERT_EQ(report.sentences.size(), 3u);
  EXPECT_NE(report.sentences[0].find("chunk 1, of the first 1 blocks"), std::string::npos) << report.sentences[0];
  EXPECT_NE(report.sentences[2].find("the whole disk"), std::string::npos) << report.sentences[2];
}

TEST(SparseCheck, HasNothingToSayAboutDataBehindTheLastChecksum) {
  SparseBuilder image;
  (void)image.raw(letters(4096, 1));
  (void)image.crc32(image.checksum());
  const std::size_t data = image.raw(letters(4096, 2));
  image.put32(data + 12 + 100, 0xdeadbeef);
  EXPECT_EQ(report_on(image).corruptions, 0u);
}

TEST(SparseCheck, SumsUpTebibytesOfFillAtOnce) {
  SparseBuilder image({1u << 20, 28, 12});
  (void)image.chunk(0xCAC2, 16u << 20, "wxyz");
  image.put32(24, 1);
  EXPECT_EQ(report_on(image).corruptions, 1u);
}

TEST(SparseCheck, SaysWhereTheImageEnds) {
  SparseBuilder image;
  (void)image.fill(1, 9);
  const std::size_t end = image.bytes().size();
  image.trailing("what follows");
  EXPECT_EQ(report_on(image).image_end.value(), end);
}

}  // namespace
}  // namespace flatimg::android_sparse
