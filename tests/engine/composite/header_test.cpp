#include "composite/header.h"

#include <gmock/gmock.h>

#include "base/limits.h"
#include "composite/describe.h"
#include "support/composite_builder.h"
#include "support/matchers.h"
#include "support/memory_file.h"

namespace flatimg::composite {
namespace {

using test::bytes_of;
using test::CompositeBuilder;
using test::FailsWith;
using test::Succeeds;

Result<Header> parse(const CompositeBuilder& file) { return parse_header(bytes_of(file.bytes())); }

CompositeBuilder two_parts() {
  return CompositeBuilder().version(2).part({"a", 0, 1}).part({"b", 4096, 0, 512}).length(10000);
}

TEST(CompositeHeader, TellsPathsPlacesAndCapabilities) {
  const auto header = parse(two_parts());
  ASSERT_THAT(header, Succeeds());
  EXPECT_EQ(header->version, 2u);
  EXPECT_EQ(header->length, 10000_B);
  ASSERT_EQ(header->parts.size(), 2u);
  EXPECT_EQ(header->parts[0].path, "a");
  EXPECT_EQ(header->parts[0].where, (GuestRange{GuestOffset(0), 4096_B}));
  EXPECT_TRUE(header->parts[0].writable());
  EXPECT_EQ(header->parts[1].where, (GuestRange{GuestOffset(4096), 5904_B}));
  EXPECT_EQ(header->parts[1].file_offset, 512_B);
  EXPECT_FALSE(header->parts[1].writable());
}

// The bytes that crosvm writes for one writable and one read-only part.
TEST(CompositeHeader, IsWrittenByteForByteAsCrosvmDoes) {
  const std::string expected = std::string("composite_disk\x1d\x08\x02", 17) + std::string("\x12\x05\x0a\x01", 4) +
                               std::string("a\x18\x01", 3) + std::string("\x12\x06\x0a\x01", 4) +
                               std::string("b\x10\x80\x20", 4) + std::string("\x18\x80\x40", 3);
  Header header;
  header.length = ByteCount(8192);
  header.parts = {{"a", {GuestOffset(0), 4096_B}, {}, kReadWrite}, {"b", {GuestOffset(4096), 4096_B}, {}, 0}};
  EXPECT_EQ(encode_header(header), expected);
}

TEST(CompositeHeader, ComesBackAsItWasWritten) {
  const auto header = parse(two_parts());
  ASSERT_THAT(header, Succeeds());
  EXPECT_EQ(encode_header(*header), two_parts().bytes());
}

TEST(CompositeHeader, OfVersionOneAndWithoutAVersionIsUnderstood) {
  EXPECT_THAT(parse(CompositeBuilder().version(1).part({"a"}).length(1)), Succeeds());
  EXPECT_THAT(parse(CompositeBuilder().part({"a"}).length(1)), Succeeds());
}

TEST(CompositeHeader, ListsPartsInAnyOrderAndFieldsInAnyOrder) {
  const auto header = parse(CompositeBuilder().length(9).part({"c", 6}).part({"a"}).part({"b", 3}).version(2));
  ASSERT_THAT(header, Succeeds());
  EXPECT_EQ(header->parts[0].path, "a");
  EXPECT_EQ(header->parts[1].path, "b");
  EXPECT_EQ(header->parts[2].path, "c");
}

TEST(CompositeHeader, MayHoldFieldsThatAreNotKnown) {
  CompositeBuilder::Part part{"a"};
  part.more = CompositeBuilder::number(77, 5) + CompositeBuilder::text(78, "x");
  const std::string fixed =
      CompositeBuilder::varint(80 << 3 | 1) + "12345678" + CompositeBuilder::varint(81 << 3 | 5) + "1234";
  EXPECT_THAT(parse(CompositeBuilder().number_field(99, 1).part(part).raw(fixed).length(1)), Succeeds());
}

TEST(CompositeHeader, TakesTheLastOfAFieldThatIsThereTwice) {
  const auto header = parse(CompositeBuilder().length(1).part({"a"}).length(5));
  ASSERT_THAT(header, Succeeds());
  EXPECT_EQ(header->length, 5_B);
}

TEST(CompositeHeader, TreatsUnknownCapabilitiesAsReadOnly) {
  const auto header = parse(CompositeBuilder().part({"a", 0, 2}).part({"b", 1, ~std::uint64_t{0}}).length(2));
  ASSERT_THAT(header, Succeeds());
  EXPECT_FALSE(header->parts[0].writable());
  EXPECT_FALSE(header->parts[1].writable());
}

struct Refused {
  std::string name;
  CompositeBuilder file;
  ErrorKind kind;
  std::string words;
};
void PrintTo(const Refused& refused, std::ostream* out) { *out << refused.name; }

class CompositeHeaderRefuses : public ::testing::TestWithParam<Refused> {};

TEST_P(CompositeHeaderRefuses, WithItsOwnMessage) {
  EXPECT_THAT(parse(GetParam().file), FailsWith(GetParam().kind, GetParam().words));
}

std::vector<Refused> refusals() {
  const std::uint64_t most = ~std::uint64_t{0};
  CompositeBuilder crowd;
  for (std::size_t n = 0; n <= limits::kCompositeParts; ++n) crowd.part({"p", n});
  const auto one = [](std::string_view more) { return CompositeBuilder().part({"a"}).length(8).raw(more); };
  CompositeBuilder::Part torn{"a"};
  torn.more = "\x10";
  return {
      {"newer_version", CompositeBuilder().version(3).part({"a"}).length(1), ErrorKind::Unsupported, "version 3"},
      {"no_parts", CompositeBuilder().version(2).length(1), ErrorKind::InvalidImage, "no parts"},
      {"nothing_at_all", CompositeBuilder(), ErrorKind::InvalidImage, "no parts"},
      {"no_length", CompositeBuilder().part({"a"}), ErrorKind::InvalidImage, "behind the end"},
      {"hole_in_front", CompositeBuilder().part({"a", 512}).length(1024), ErrorKind::InvalidImage, "in front of it"},
      {"same_place", CompositeBuilder().part({"a"}).part({"b", 5}).part({"c", 5}).length(9), ErrorKind::InvalidImage,
       "another part"},
      {"behind_the_end", CompositeBuilder().part({"a"}).part({"b", 8}).length(8), ErrorKind::InvalidImage,
       "behind the end"},
      {"too_large", CompositeBuilder().part({"a"}).length(most), ErrorKind::Limit, "too large"},
      {"file_offset_overflow", CompositeBuilder().part({"a", 0, 0, most}).length(8), ErrorKind::InvalidImage,
       "file offset"},
      {"file_offset_too_large", CompositeBuilder().part({"a", 0, 0, most / 2}).length(8), ErrorKind::InvalidImage,
       "file offset"},
      {"no_name", CompositeBuilder().part({""}).length(8), ErrorKind::InvalidImage, "names no file"},
      {"name_not_utf8", CompositeBuilder().part({"a\xff"}).length(8), ErrorKind::InvalidImage, "UTF-8"},
      {"too_many", crowd.length(10000), ErrorKind::Limit, "more than 512 parts"},
      {"version_as_text", one(CompositeBuilder::text(1, "2")), ErrorKind::InvalidImage, "version is not of its type"},
      {"part_as_number", one(CompositeBuilder::number(2, 2)), ErrorKind::InvalidImage, "component_disks"},
      {"cut_off_number", one("\x18"), ErrorKind::InvalidImage, "damaged or cut off"},
      {"cut_off_part", one("\x12\x7f"), ErrorKind::InvalidImage, "damaged or cut off"},
      {"endless_number", one("\x18" + std::string(11, '\xff')), ErrorKind::InvalidImage, "damaged or cut off"},
      {"length_beyond_end", one("\x12\xff\xff\xff\xff\x0f"), ErrorKind::InvalidImage, "damaged or cut off"},
      {"trailing_garbage", one("garbage"), ErrorKind::InvalidImage, "damaged or cut off"},
      {"trailing_zeroes", one(std::string(3, '\0')), ErrorKind::InvalidImage, "damaged or cut off"},
      {"cut_off_in_part", CompositeBuilder().part(torn).length(8), ErrorKind::InvalidImage, "damaged or cut off"},
  };
}

INSTANTIATE_TEST_SUITE_P(Descriptions, CompositeHeaderRefuses, ::testing::ValuesIn(refusals()),
                         [](const auto& instance) { return instance.param.name; });

TEST(CompositeHeader, NeedsItsMagic) {
  std::string bytes = two_parts().bytes();
  bytes[14] = 'x';
  EXPECT_THAT(parse_header(bytes_of(bytes)), FailsWith(ErrorKind::InvalidImage, "not a composite disk"));
  EXPECT_THAT(parse_header(bytes_of("compo")), FailsWith(ErrorKind::InvalidImage, "not a composite disk"));
  EXPECT_THAT(parse_header({}), FailsWith(ErrorKind::InvalidImage, "not a composite disk"));
}

TEST(CompositeHeader, OfAnyPrefixOfAFileIsAnErrorOrConsistent) {
  const std::string bytes = two_parts().bytes();
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const auto header = parse_header(bytes_of(std::string_view(bytes).substr(0, length)));
    EXPECT_FALSE(header.has_value()) << length;
  }
}

TEST(CompositeHeader, OfAHugeFileIsRefusedUnread) {
  test::MemoryFile file("huge");
  ASSERT_THAT(file.write(HostOffset(0), bytes_of(two_parts().bytes())), Succeeds());
  ASSERT_THAT(file.resize(ByteCount(std::uint64_t{1} << 50)), Succeeds());
  EXPECT_THAT(read_header(file), FailsWith(ErrorKind::Limit, "huge: "));
}

TEST(CompositeDescription, NamesThePartsWithoutTheirFiles) {
  const auto file = test::MemoryFile::containing(bytes_of(two_parts().bytes()), "disk");
  const auto info = describe(*file);
  ASSERT_THAT(info, Succeeds());
  EXPECT_EQ(info->virtual_size, 10000_B);
  ASSERT_EQ(info->details.size(), 2u);
  EXPECT_EQ(std::get<InfoList>(info->details[1].value.value).size(), 2u);
}

}  // namespace
}  // namespace flatimg::composite
