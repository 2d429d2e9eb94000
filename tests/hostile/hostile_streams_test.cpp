// Android sparse and zstd files that claim far more than they hold: opened or refused within a second and 64 MiB.
#include "hostile/hostile_image.h"
#include "support/sparse_builder.h"
#include "support/zstd_builder.h"

namespace flatimg {
namespace {

using test::SparseBuilder;
using test::Verdict;
using test::ZstdBuilder;

class HostileStream : public ::testing::Test {
 protected:
  // Opens it without naming a format and reads the beginning.
  Verdict read(const std::string& bytes) {
    const std::string path = directory_.write("image", bytes);
    const Verdict verdict = test::in_cage([&] {
      catalog::OpenRequest request = test::request_for(path, Access::ReadWrite);
      request.format.reset();
      return test::with_disk(request, test::read_everything);
    });
    EXPECT_EQ(complaint_about(verdict), "");
    EXPECT_TRUE(test::contents_of(path) == bytes);
    return verdict;
  }
  void expect_read(const std::string& bytes) {
    const Verdict verdict = read(bytes);
    EXPECT_EQ(verdict.kind, Verdict::Kind::Success) << ::testing::PrintToString(verdict);
  }
  void expect_refused(const std::string& bytes, ErrorKind kind) {
    const Verdict verdict = read(bytes);
    EXPECT_EQ(verdict.kind, Verdict::Kind::Failure) << ::testing::PrintToString(verdict);
    EXPECT_EQ(verdict.error, kind) << verdict.text;
  }

  test::TempDir directory_;
};

TEST_F(HostileStream, SparseFillOf16Tebibytes) {
  SparseBuilder image({1u << 20, 28, 12});
  (void)image.chunk(0xCAC2, 16u << 20, "fill");
  expect_read(image.bytes());
}

TEST_F(HostileStream, SparseImageOfAMillionChunks) {
  SparseBuilder image;
  for (std::uint32_t n = 0; n < 500'000; ++n) {
    (void)image.chunk(0xCAC2, 4, ZstdBuilder::word(n));
    (void)image.chunk(0xCAC3, 4, "");
  }
  expect_read(image.bytes());
}

TEST_F(HostileStream, SparseHeaderOfFourBillionChunks) {
  SparseBuilder image;
  (void)image.dont_care(1);
  image.put32(20, 0xffffffff);
  expect_refused(image.bytes(), ErrorKind::InvalidImage);
}

TEST_F(HostileStream, SparseHoleOfTebibytesInsteadOfChunks) {
  SparseBuilder image;
  image.put32(16, 0xffffffff);
  image.put32(20, 0xffffffff);
  const std::string path = directory_.write("image", image.bytes());
  std::filesystem::resize_file(path, std::uint64_t{1} << 43);
  const Verdict verdict = test::in_cage([&] {
    catalog::OpenRequest request = test::request_for(path, Access::ReadOnly);
    request.format = "sparse";
    return test::with_disk(request, test::read_everything);
  });
  EXPECT_EQ(complaint_about(verdict), "");
  EXPECT_EQ(verdict.error, ErrorKind::InvalidImage) << verdict.text;
}

TEST_F(HostileStream, ZstdBombInOneFrame) { expect_refused(ZstdBuilder::bomb(10'000), ErrorKind::Limit); }

TEST_F(HostileStream, ZstdBombsInManyFrames) {
  std::string bombs;
  for (int n = 0; n < 1000; ++n) bombs += ZstdBuilder::bomb(64);
  expect_read(bombs);
}

TEST_F(HostileStream, ZstdFramesThatOnlyDecodingCanMeasure) {
  ZstdBuilder image;
  image.frame(std::string(8u << 20, 'a'), ZstdBuilder::Size::Unstated);
  std::string frames;
  for (int n = 0; n < 16; ++n) frames += image.bytes();
  expect_read(frames);
}

TEST_F(HostileStream, ZstdContentSizeOfExbibytes) {
  expect_refused(ZstdBuilder::word(0xFD2FB528) + "\xe0" + std::string(7, '\xff') + "\x7f" + std::string(9, '\0'),
                 ErrorKind::Limit);
}

TEST_F(HostileStream, ZstdWindowOfTebibytes) {
  ZstdBuilder image;
  image.add(ZstdBuilder::word(0xFD2FB528) + std::string("\x00\xff\x21\x00\x00wxyz", 9), "wxyz");
  expect_refused(image.bytes(), ErrorKind::CorruptImage);
}

TEST_F(HostileStream, ZstdTableOfFourBillionFrames) {
  ZstdBuilder image;
  image.frame("content");
  image.finish();
  image.put32(image.end() - 9, 0xffffffff);
  expect_refused(image.bytes(), ErrorKind::InvalidImage);
}

}  // namespace
}  // namespace flatimg
