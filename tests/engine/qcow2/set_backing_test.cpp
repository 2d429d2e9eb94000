#include "qcow2/set_backing.h"

#include <gmock/gmock.h>

#include <array>

#include "qcow2/create.h"
#include "qcow2/qcow2_image.h"
#include "support/matchers.h"
#include "support/memory_file.h"
#include "support/recording_file.h"

namespace flatimg::qcow2 {
namespace {

using test::FailsWith;
using test::MemoryFile;
using test::Succeeds;

struct Shape {
  std::uint64_t cluster_size;
  std::uint32_t version;
  const char* before;         // the old name; empty: none
  const char* before_format;  // empty: not recorded
};
void PrintTo(const Shape& shape, std::ostream* out) {
  *out << shape.cluster_size << " v" << shape.version << " \"" << shape.before << "\" " << shape.before_format;
}

std::unique_ptr<MemoryFile> image_of(const Shape& shape) {
  CreateOptions options;
  options.size = 1_MiB;
  options.cluster_size = ByteCount(shape.cluster_size);
  options.version = shape.version;
  if (*shape.before != '\0') options.backing_name = shape.before;
  if (*shape.before_format != '\0') options.backing_format = shape.before_format;
  auto file = std::make_unique<MemoryFile>();
  EXPECT_THAT(create(*file, nullptr, options), Succeeds());
  return file;
}

bool says_the_format(const Extension& found) {
  return found.type == extension::kBackingFormat || found.type == extension::kOwnBackingFormat;
}

class Qcow2SetBacking : public ::testing::TestWithParam<Shape> {};

TEST_P(Qcow2SetBacking, RecordsTheNewNameAndKeepsEverythingElse) {
  for (const char* name :
       {"b", "another-base.img", "/a/very/long/name/of/a/file/that/lies/elsewhere/base-image.qcow2"}) {
    for (const char* format : {"raw", "qcow2", "composite"}) {
      const auto file = image_of(GetParam());
      const Header before = *read_header(*file);
      ASSERT_THAT(set_backing(*file, BackingRecord{name, format}), Succeeds());
      const auto after = read_header(*file);
      ASSERT_THAT(after, Succeeds());
      EXPECT_EQ(after->backing_name, name);
      EXPECT_EQ(after->backing_format, format);
      EXPECT_EQ(after->size, before.size);
      EXPECT_EQ(after->l1_table, before.l1_table);
      EXPECT_EQ(after->header_length, before.header_length);
      std::vector<std::uint32_t> kept;
      for (const Extension& found : before.extensions) {
        if (!says_the_format(found)) kept.push_back(found.type);
      }
      for (const Extension& found : after->extensions) {
        if (!says_the_format(found)) {
          ASSERT_FALSE(kept.empty());
          EXPECT_EQ(found.type, kept.front());
          kept.erase(kept.begin());
        }
      }
      EXPECT_TRUE(kept.empty());
    }
  }
}

TEST_P(Qcow2SetBacking, CanRecordThatThereIsNone) {
  const auto file = image_of(GetParam());
  ASSERT_THAT(set_backing(*file, std::nullopt), Succeeds());
  EXPECT_EQ(read_header(*file)->backing_name, std::nullopt);
  ASSERT_THAT(set_backing(*file, BackingRecord{"again", "raw"}), Succeeds());
  EXPECT_EQ(read_header(*file)->backing_name, "again");
}

TEST_P(Qcow2SetBacking, ManyTimesOverStaysReadable) {
  const auto file = image_of(GetParam());
  for (unsigned n = 0; n < 40; ++n) {
    const BackingRecord record{std::string(n * 7 % 90 + 1, static_cast<char>('a' + n % 26)),
                               std::array{"raw", "qcow2", "sparse"}[n % 3]};
    ASSERT_THAT(set_backing(*file, record), Succeeds());
    EXPECT_EQ(read_header(*file)->backing_name, record.name);
    EXPECT_EQ(read_header(*file)->backing_format, record.format);
  }
}

TEST_P(Qcow2SetBacking, RecordsWhatTheFileIsLikeWhereThereIsRoom) {
  const auto file = image_of(GetParam());
  for (unsigned n = 0; n < 12; ++n) {
    const BackingFacts facts{ByteCount(1000 + n), -5 + std::int64_t{n}};
    const BackingRecord record{std::string(n * 5 % 40 + 1, 'n'), std::array{"raw", "qcow2", "sparse"}[n % 3], facts};
    ASSERT_THAT(set_backing(*file, record), Succeeds());
    const Header header = *read_header(*file);
    EXPECT_EQ(header.backing_name, record.name);
    EXPECT_EQ(header.backing_format, record.format);
    EXPECT_EQ(recorded_facts(header), facts);
  }
  ASSERT_THAT(set_backing(*file, BackingRecord{"n", "raw"}), Succeeds());
  EXPECT_EQ(recorded_facts(*read_header(*file)), std::nullopt) << "facts of a file that nobody has looked at";
}

TEST_P(Qcow2SetBacking, RecordsFactsOfTheNameOnly) {
  const auto file = image_of(GetParam());
  ASSERT_THAT(set_backing(*file, BackingRecord{"base", "raw", BackingFacts{1_MiB, 7}}), Succeeds());
  Header header = *read_header(*file);
  ASSERT_TRUE(recorded_facts(header));
  header.backing_name = "bass";  // as QEMU would record another one, and keep what it does not know
  EXPECT_EQ(recorded_facts(header), std::nullopt);
}

// Each step is on stable storage before the next begins, and each may be cut off at any sector.
TEST_P(Qcow2SetBacking, ShowsTheOldOrTheNewNameAfterACrash) {
  for (const BackingRecord& record : {BackingRecord{"newer.img", "raw"}, BackingRecord{"newer.img", "qcow2"},
                                      BackingRecord{"newer.img", "sparse", BackingFacts{1_MiB, 7}},
                                      BackingRecord{"newer.img", "qcow2", BackingFacts{1_MiB, 7}}}) {
    const std::string& format = record.format;
    const auto old = image_of(GetParam());
    const Header before = *read_header(*old);
    const auto recording = std::make_shared<test::Recording>();
    test::RecordingFile recorded(old->copy(), recording);
    ASSERT_THAT(set_backing(recorded, record), Succeeds());
    const auto file = old->copy();
    for (const test::Operation& operation : recording->operations()) {
      if (operation.kind != test::Operation::Kind::Write) continue;
      const std::uint64_t first = operation.where.begin.value() / 512;
      const std::uint64_t last = (operation.where.end().value() - 1) / 512;
      for (std::uint64_t lost = first; first < last && lost <= last; ++lost) {
        const auto torn = file->copy();
        const auto kept = file->contents();
        ASSERT_THAT(torn->write(operation.where.begin, operation.bytes), Succeeds());
        ASSERT_THAT(torn->write(HostOffset(lost * 512), std::span(kept).subspan(lost * 512, 512)), Succeeds());
        const auto header = read_header(*torn);
        ASSERT_THAT(header, Succeeds());
        EXPECT_TRUE(header->backing_name == before.backing_name || header->backing_name == "newer.img");
      }
      ASSERT_THAT(file->write(operation.where.begin, operation.bytes), Succeeds());
      const auto header = read_header(*file);
      ASSERT_THAT(header, Succeeds());
      EXPECT_TRUE(header->backing_name == before.backing_name || header->backing_name == "newer.img");
      if (header->backing_name == "newer.img" && before.backing_format) {
        EXPECT_EQ(header->backing_format, format) << "the new name with the old format";
      }
    }
  }
}

// QEMU opens no image that records, in its own extension, a format which it does not know.
TEST_P(Qcow2SetBacking, KeepsFormatsThatQemuDoesNotKnowOutOfItsExtension) {
  const auto file = image_of(GetParam());
  const auto types = [&] {
    std::vector<std::uint32_t> found;
    const Header header = *read_header(*file);
    for (const Extension& each : header.extensions) {
      if (says_the_format(each)) found.push_back(each.type);
    }
    return found;
  };
  for (const char* format : {"sparse", "raw", "zstd", "composite", "qcow2"}) {
    ASSERT_THAT(set_backing(*file, BackingRecord{"base", format}), Succeeds());
    EXPECT_EQ(types(), std::vector{extension::of_backing_format(format)});
    EXPECT_EQ(read_header(*file)->backing_format, format);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Qcow2SetBacking,
                         ::testing::Values(Shape{65536, 3, "", ""}, Shape{65536, 3, "base.raw", "raw"},
                                           Shape{65536, 3, "base.raw", ""}, Shape{65536, 2, "base.qcow2", "qcow2"},
                                           Shape{65536, 2, "", ""}, Shape{2u << 20, 3, "b", "raw"},
                                           Shape{4096, 3, "base.raw", "raw"}, Shape{512, 3, "base.raw", "raw"},
                                           Shape{512, 2, "", ""}));

TEST(Qcow2SetBackingRefuses, ANameThatDoesNotFit) {
  const auto file = image_of({512, 3, "base.raw", "raw"});
  const auto before = file->contents();
  EXPECT_THAT(set_backing(*file, BackingRecord{std::string(400, 'x'), "raw"}), FailsWith(ErrorKind::NoSpace, "room"));
  EXPECT_THAT(set_backing(*file, BackingRecord{std::string(1024, 'x'), "raw"}), FailsWith(ErrorKind::BadUsage, "1023"));
  EXPECT_EQ(file->contents(), before);
}

TEST(Qcow2SetBackingFacts, AreLeftOutWhereTheClusterIsFull) {
  const auto file = image_of({512, 3, "base.raw", "raw"});
  const std::string longest(512 - 112 - 16 - 8, 'x');
  ASSERT_THAT(set_backing(*file, BackingRecord{longest, "raw", BackingFacts{1_MiB, 7}}), Succeeds());
  const Header header = *read_header(*file);
  EXPECT_EQ(header.backing_name, longest);
  EXPECT_EQ(header.backing_format, "raw");
  EXPECT_EQ(recorded_facts(header), std::nullopt);
}

TEST(Qcow2SetBackingFacts, AreInNewImagesWhereThereIsRoom) {
  for (const std::size_t length : {8u, 512u - 112 - 16 - 8}) {
    CreateOptions options;
    options.size = 1_MiB;
    options.cluster_size = 512_B;
    options.backing_name = std::string(length, 'b');
    options.backing_format = "raw";
    options.backing_facts = BackingFacts{3_MiB, 99};
    MemoryFile file;
    ASSERT_THAT(create(file, nullptr, options), Succeeds());
    const Header header = *read_header(file);
    EXPECT_EQ(header.backing_name, options.backing_name);
    EXPECT_EQ(recorded_facts(header), length == 8 ? options.backing_facts : std::nullopt);
  }
}

TEST(Qcow2SetBackingRefuses, AFileThatIsNoImage) {
  MemoryFile file;
  ASSERT_THAT(file.resize(ByteCount(65536)), Succeeds());
  EXPECT_THAT(set_backing(file, std::nullopt), FailsWith(ErrorKind::InvalidImage, "not a qcow2"));
}

}  // namespace
}  // namespace flatimg::qcow2
