#include <gtest/gtest.h>

#include "seekable_zstd/check.h"
#include "seekable_zstd/describe.h"
#include "seekable_zstd/zstd_image.h"
#include "support/matchers.h"
#include "support/zstd_builder.h"

namespace flatimg::seekable_zstd {
namespace {

using test::FailsWith;
using test::letters;
using test::ZstdBuilder;

struct Refusal {
  std::string name;
  ErrorKind kind;
  std::string mentions;
  std::function<void(ZstdBuilder&)> inflict;
};
void PrintTo(const Refusal& refusal, std::ostream* out) { *out << refusal.name; }

constexpr auto kInvalid = ErrorKind::InvalidImage;
constexpr auto kCorrupt = ErrorKind::CorruptImage;
constexpr std::size_t kTable = 8 + 3 * 8 + 9;

// What is done to a file of three frames with a table without checksums.
std::vector<Refusal> tables() {
  return {
      {"no_magic_before_its_entries", kInvalid, "does not begin where it should",
       [](auto& file) { file.put32(file.end() - kTable, 0x184D2A5D); }},
      {"another_length_of_its_frame", kInvalid, "a frame of 34 bytes for 33 bytes of table",
       [](auto& file) { file.put32(file.end() - kTable + 4, 34); }},
      {"reserved_bits", kInvalid, "reserved bits", [](auto& file) { file.put8(file.end() - 5, 0x04); }},
      {"checksums_that_are_not_there", kInvalid, "damaged", [](auto& file) { file.put8(file.end() - 5, 0x80); }},
      {"one_frame_more", kInvalid, "does not begin where it should", [](auto& file) { file.put32(file.end() - 9, 4); }},
      {"more_frames_than_the_file_has_bytes", kInvalid, "no room for 100000 frames",
       [](auto& file) { file.put32(file.end() - 9, 100000); }},
      {"a_product_beyond_32_bits", kInvalid, "no room for", [](auto& file) { file.put32(file.end() - 9, 0x20000000); }},
      {"four_billion_frames", kInvalid, "no room for 4294967295", [](auto& file) { file.put32(file.end() - 9, ~0u); }},
      {"frames_that_end_before_it", kInvalid, "its frames end at byte",
       [](auto& file) { file.put32(file.end() - kTable + 8, 1); }},
      {"frames_that_end_behind_it", kInvalid, "do not fit into the file",
       [](auto& file) { file.put32(file.end() - kTable + 8, ~0u); }},
      {"a_frame_of_four_gigabytes", ErrorKind::Limit, "a frame holds 4294967295 bytes",
       [](auto& file) { file.put32(file.end() - kTable + 12, ~0u); }},
  };
}

// What is done to a file of three frames without a table.
std::vector<Refusal> frames() {
  return {
      {"rubbish_behind_the_last", kCorrupt, "is no zstd frame", [](auto& file) { file.append("rubbish"); }},
      {"one_zero_behind_the_last", kCorrupt, "is no zstd frame", [](auto& file) { file.append(std::string(1, '\0')); }},
      {"a_frame_of_old_times", kCorrupt, "is no zstd frame", [](auto& file) { file.put32(0, 0xFD2FB527); }},
      {"a_reserved_bit", kCorrupt, "reserved bits", [](auto& file) { file.put8(4, 0x08); }},
      {"a_cut_header", kInvalid, "it is incomplete",
       [](auto& file) { file.append(ZstdBuilder::word(0xFD2FB528) + std::string(1, '\x20')); }},
      {"a_cut_frame", kInvalid, "ends within its frame 2", [](auto& file) { file.truncate(file.end() - 1); }},
      {"a_cut_skippable_frame", kInvalid, "it is incomplete",
       [](auto& file) { file.append(ZstdBuilder::word(0x184D2A51) + ZstdBuilder::word(~0u)); }},
      {"a_dictionary", ErrorKind::Unsupported, "needs the dictionary 77",
       [](auto& file) { file.append(ZstdBuilder::word(0xFD2FB528) + "\x21\x4d" + std::string(20, '\0')); }},
      {"a_reserved_block", kCorrupt, "is no block",
       [](auto& file) {
         file.append(ZstdBuilder::word(0xFD2FB528) + std::string("\x20\x00\x07\x00\x00", 5) + std::string(20, '\0'));
       }},
      {"an_endless_content_size", ErrorKind::Limit, "holds 18446744073709551615 bytes",
       [](auto& file) {
         file.append(ZstdBuilder::word(0xFD2FB528) + "\xe0" + std::string(8, '\xff') + std::string(20, '\0'));
       }},
      {"damaged_data_of_unknown_size", kCorrupt, "the frame at byte",
       [](auto& file) { file.append(ZstdBuilder::word(0xFD2FB528) + std::string("\x00\x58\x2d\x00\x00zzzzz", 10)); }},
  };
}

class ZstdRefusal : public ::testing::TestWithParam<Refusal> {
 protected:
  static void expect_refused(const ZstdBuilder& image) {
    const auto refused = FailsWith(GetParam().kind, GetParam().mentions);
    const auto opened = ZstdImage::open(image.file(), {});
    ASSERT_THAT(opened, refused);
    EXPECT_TRUE(opened.error().text.starts_with("disk.zst: ")) << opened.error().text;
    EXPECT_EQ(opened.error().text.find('\n'), std::string::npos);
    const auto file = image.file();
    if (GetParam().kind == ErrorKind::Limit) {  // not too large for these: they say what else is wrong
      EXPECT_FALSE(check(*file, 16_MiB).has_value());
      EXPECT_FALSE(describe(*file, 16_MiB).has_value());
      return;
    }
    EXPECT_THAT(check(*file, 16_MiB), refused);
    EXPECT_THAT(describe(*file, 16_MiB), refused);
  }
  static ZstdBuilder three_frames() {
    ZstdBuilder image;
    for (unsigned n = 0; n < 3; ++n) image.frame(letters(1000, n));
    return image;
  }
};
class ZstdTable : public ZstdRefusal {};
class ZstdFrames : public ZstdRefusal {};

TEST_P(ZstdTable, IsRefusedInOneClearLine) {
  ZstdBuilder image = three_frames();
  image.finish();
  GetParam().inflict(image);
  expect_refused(image);
}

TEST_P(ZstdFrames, AreRefusedInOneClearLine) {
  ZstdBuilder image = three_frames();
  GetParam().inflict(image);
  expect_refused(image);
}

const auto kName = [](const auto& param) { return param.param.name; };
INSTANTIATE_TEST_SUITE_P(With, ZstdTable, ::testing::ValuesIn(tables()), kName);
INSTANTIATE_TEST_SUITE_P(With, ZstdFrames, ::testing::ValuesIn(frames()), kName);

TEST(ZstdRefusal, OfAnyCutIsAnErrorOrLosesWholeFrames) {
  ZstdBuilder image;
  std::vector<std::size_t> ends{0};
  for (unsigned n = 0; n < 3; ++n) {
    image.frame(letters(50, n));
    ends.push_back(image.end());
  }
  for (std::size_t length = 1; length < image.end(); ++length) {
    ZstdBuilder cut = image;
    cut.truncate(length);
    const bool whole = std::ranges::find(ends, length) != ends.end();
    EXPECT_EQ(ZstdImage::open(cut.file(), {}).has_value(), whole) << length;
  }
}

}  // namespace
}  // namespace flatimg::seekable_zstd
