#include <gtest/gtest.h>

#include <functional>

#include "android_sparse/check.h"
#include "android_sparse/describe.h"
#include "android_sparse/header.h"
#include "android_sparse/sparse_image.h"
#include "support/matchers.h"
#include "support/sparse_builder.h"

namespace flatimg::android_sparse {
namespace {

using test::FailsWith;
using test::letters;
using test::SparseBuilder;
using test::SparseShape;

// An image of seven blocks in which chunk 1 is raw, 2 fill, 3 don't care, 4 CRC32, and what has been done to it.
struct Places {
  std::size_t raw, fill, dont_care, crc32;
};
struct Refusal {
  std::string name;
  ErrorKind kind;
  std::string mentions;
  std::function<void(SparseBuilder&, const Places&)> inflict;
};
void PrintTo(const Refusal& refusal, std::ostream* out) { *out << refusal.name; }

constexpr auto kInvalid = ErrorKind::InvalidImage;

std::vector<Refusal> headers() {
  return {
      {"no_magic", kInvalid, "is not an Android sparse image", [](auto& image, auto&) { image.put32(0, 0xED26FF3B); }},
      {"an_empty_file", kInvalid, "is not an Android sparse image", [](auto& image, auto&) { image.truncate(0); }},
      {"a_file_that_ends_within_its_header", kInvalid, "ends within its sparse header",
       [](auto& image, auto&) { image.truncate(27); }},
      {"major_version_0", ErrorKind::Unsupported, "version 0", [](auto& image, auto&) { image.put16(4, 0); }},
      {"major_version_2", ErrorKind::Unsupported, "version 2", [](auto& image, auto&) { image.put16(4, 2); }},
      {"a_short_header", kInvalid, "header of 27 bytes", [](auto& image, auto&) { image.put16(8, 27); }},
      {"short_chunk_headers", kInvalid, "chunk headers of 11 bytes", [](auto& image, auto&) { image.put16(10, 11); }},
      {"block_size_0", kInvalid, "block size of 0", [](auto& image, auto&) { image.put32(12, 0); }},
      {"block_size_odd", kInvalid, "block size of 4098", [](auto& image, auto&) { image.put32(12, 4098); }},
      {"a_disk_beyond_the_limit", kInvalid, "more than a disk can have",
       [](auto& image, auto&) {
         image.put32(12, 0xfffffffc);
         image.put32(16, 0xffffffff);
       }},
      {"more_blocks_than_its_chunks", kInvalid, "cover 7 blocks, but the disk has 8",
       [](auto& image, auto&) { image.put32(16, 8); }},
      {"fewer_blocks_than_its_chunks", kInvalid, "leaves the disk", [](auto& image, auto&) { image.put32(16, 6); }},
      {"blocks_without_chunks", kInvalid, "0 chunks cover 0 blocks", [](auto& image, auto&) { image.put32(20, 0); }},
      {"more_chunks_than_there_are", kInvalid, "ends at chunk 5 of 6", [](auto& image, auto&) { image.put32(20, 6); }},
      {"four_billion_chunks", kInvalid, "ends at chunk 5", [](auto& image, auto&) { image.put32(20, 0xffffffff); }},
      {"a_header_longer_than_the_file", kInvalid, "ends at chunk 0", [](auto& image, auto&) { image.put16(8, 65535); }},
  };
}

std::vector<Refusal> chunks() {
  using P = const Places&;
  return {
      {"an_unknown_kind", kInvalid, "chunk 1 is of the unknown kind 0xcac0",
       [](auto& image, P at) { image.put16(at.raw, 0xCAC0); }},
      {"another_unknown_kind", kInvalid, "unknown kind 0xcac6", [](auto& image, P at) { image.put16(at.raw, 0xCAC6); }},
      {"a_vendors_compressed_chunk", ErrorKind::Unsupported, "0xCAC5",
       [](auto& image, P at) { image.put16(at.raw, 0xCAC5); }},
      {"a_chunk_shorter_than_its_header", kInvalid, "shorter than its own header",
       [](auto& image, P at) { image.put32(at.dont_care + 8, 11); }},
      {"raw_data_too_short", kInvalid, "chunk 1 (raw data) of 2 blocks holds 8191 bytes instead of 8192",
       [](auto& image, P at) { image.put32(at.raw + 8, 12 + 8191); }},
      {"raw_data_too_long", kInvalid, "holds 12288 bytes instead of 8192",
       [](auto& image, P at) { image.put32(at.raw + 8, 12 + 12288); }},
      {"raw_data_of_four_billion_blocks", kInvalid, "of 4294967295 blocks",
       [](auto& image, P at) { image.put32(at.raw + 4, 0xffffffff); }},
      {"a_fill_of_8_bytes", kInvalid, "chunk 2 (fill)", [](auto& image, P at) { image.put32(at.fill + 8, 20); }},
      {"a_fill_without_word", kInvalid, "chunk 2 (fill)", [](auto& image, P at) { image.put32(at.fill + 8, 12); }},
      {"a_fill_beyond_the_disk", kInvalid, "chunk 2 (fill) leaves the disk",
       [](auto& image, P at) { image.put32(at.fill + 4, 0xffffffff); }},
      {"dont_care_with_a_body", kInvalid, "chunk 3 (don't care)",
       [](auto& image, P at) { image.put32(at.dont_care + 8, 16); }},
      {"dont_care_beyond_the_disk", kInvalid, "leaves the disk",
       [](auto& image, P at) { image.put32(at.dont_care + 4, 4); }},
      {"crc32_without_checksum", kInvalid, "chunk 4 (CRC32)", [](auto& image, P at) { image.put32(at.crc32 + 8, 12); }},
      {"crc32_of_8_bytes", kInvalid, "chunk 4 (CRC32)", [](auto& image, P at) { image.put32(at.crc32 + 8, 20); }},
      {"data_cut_off", kInvalid, "it is incomplete", [](auto& image, P at) { image.truncate(at.raw + 12 + 8191); }},
      {"a_chunk_header_cut_off", kInvalid, "ends at chunk 3 of 5",
       [](auto& image, P at) { image.truncate(at.dont_care + 11); }},
      {"a_checksum_cut_off", kInvalid, "it is incomplete", [](auto& image, P at) { image.truncate(at.crc32 + 15); }},
  };
}

class SparseRefusal : public ::testing::TestWithParam<Refusal> {};

TEST_P(SparseRefusal, IsOneClearLineFromEverybody) {
  SparseBuilder image;
  Places at{};
  (void)image.dont_care(1);
  at.raw = image.raw(letters(8192, 1));
  at.fill = image.fill(5, 1);
  at.dont_care = image.dont_care(3);
  at.crc32 = image.crc32(0);
  GetParam().inflict(image, at);
  const auto refused = FailsWith(GetParam().kind, GetParam().mentions);
  std::vector<std::unique_ptr<HostFile>> pieces;
  pieces.push_back(image.file());
  const auto opened = SparseImage::open(std::move(pieces), "");
  ASSERT_THAT(opened, refused);
  EXPECT_TRUE(opened.error().text.starts_with("sparse.img: ")) << opened.error().text;
  EXPECT_EQ(opened.error().text.find('\n'), std::string::npos);
  const auto file = image.file();
  const auto header = read_header(*file);
  if (!header) return;
  EXPECT_THAT(check(*file, *header), refused);
  EXPECT_THAT(describe(*file, *header), refused);
}

const auto kName = [](const auto& param) { return param.param.name; };
INSTANTIATE_TEST_SUITE_P(Headers, SparseRefusal, ::testing::ValuesIn(headers()), kName);
INSTANTIATE_TEST_SUITE_P(Chunks, SparseRefusal, ::testing::ValuesIn(chunks()), kName);

TEST(SparseRefusal, OfAnyCutIsAnErrorOrLosesNothing) {
  SparseBuilder image;
  (void)image.raw(letters(4096, 1));
  (void)image.fill(9, 2);
  (void)image.dont_care(1);
  for (std::size_t length = 0; length < image.bytes().size(); length += length < 28 ? 1 : 13) {
    SparseBuilder cut = image;
    cut.truncate(length);
    std::vector<std::unique_ptr<HostFile>> pieces;
    pieces.push_back(cut.file());
    EXPECT_FALSE(SparseImage::open(std::move(pieces), "")) << length;
  }
}

}  // namespace
}  // namespace flatimg::android_sparse
