#include "composite/compose.h"

#include <gmock/gmock.h>

#include "base/limits.h"
#include "support/matchers.h"

namespace flatimg::composite {
namespace {

using test::FailsWith;
using test::Succeeds;

const Beside kBeside{"d.header", "d.footer", "d.filler"};

Ingredient part(const std::string& name, std::uint64_t size, std::uint64_t capability = 0) {
  return {name, name, ByteCount(size), capability, std::nullopt};
}

std::vector<std::string> layout(const Header& header) {
  std::vector<std::string> lines;
  for (const Part& part : header.parts) {
    lines.push_back(fmt::format("{}+{} {}{}", part.where.begin.value(), part.where.length.value(), part.path,
                                part.writable() ? " rw" : ""));
  }
  return lines;
}

TEST(Compose, LaysPartsOutAsCrosvmDoes) {
  const std::vector parts{part("a", 8192, kReadWrite), part("b", 5000), part("c", 4096)};
  const auto made = with_partition_table(parts, kBeside);
  ASSERT_THAT(made, Succeeds());
  EXPECT_THAT(layout(made->header),
              ::testing::ElementsAre("0+20480 d.header", "20480+8192 a rw", "28672+5000 b", "33672+3192 d.filler",
                                     "36864+4096 c", "40960+20480 d.footer"));
  EXPECT_EQ(made->header.length, ByteCount(61440));
  EXPECT_THAT(parse_header(test::bytes_of(encode_header(made->header))), Succeeds());
}

TEST(Compose, PutsPartsOneBehindTheOtherWithoutATable) {
  const std::vector parts{part("a", 512, kReadWrite), part("b", 1024)};
  const auto made = without_partition_table(parts);
  ASSERT_THAT(made, Succeeds());
  EXPECT_THAT(layout(*made), ::testing::ElementsAre("0+512 a rw", "512+1024 b"));
}

TEST(Compose, TakesAllPartitionsOfATableAndNotOneMore) {
  std::vector<Ingredient> parts;
  for (std::size_t n = 0; n < kMostPartitions; ++n) parts.push_back(part("p" + std::to_string(n), 100));
  const auto most = with_partition_table(parts, kBeside);
  ASSERT_THAT(most, Succeeds());
  EXPECT_THAT(parse_header(test::bytes_of(encode_header(most->header))), Succeeds()) << "it can be opened";
  parts.push_back(part("one more", 100));
  EXPECT_THAT(with_partition_table(parts, kBeside), FailsWith(ErrorKind::Limit, "more than 128"));
}

TEST(Compose, RefusesWhatMakesNoDisk) {
  const auto refused = [](std::vector<Ingredient> parts, ErrorKind kind, const char* words) {
    EXPECT_THAT(with_partition_table(parts, kBeside), FailsWith(kind, words));
  };
  refused({}, ErrorKind::BadUsage, "at least one part");
  refused({part("a", 0)}, ErrorKind::BadUsage, "a: is an empty disk");
  refused({part("a", 5000, kReadWrite)}, ErrorKind::BadUsage, "a: its size of 5000 bytes is no multiple of 4096");
  refused({part("a", 1), part("a", 1)}, ErrorKind::BadUsage, "the same label");
  refused({part("\xff", 1)}, ErrorKind::BadUsage, "not UTF-8");
  refused({part("a", limits::kDisk.value())}, ErrorKind::Limit, "too large");
  refused({part("a", limits::kDisk.value() / 2), part("b", limits::kDisk.value() / 2 + 512)}, ErrorKind::Limit, "b: ");
  auto twins = std::vector{part("a", 1), part("b", 1)};
  twins[0].guid = twins[1].guid = random_guid();
  refused(twins, ErrorKind::BadUsage, "the same GUID");
  EXPECT_THAT(without_partition_table(std::vector{part("a", 5000)}), FailsWith(ErrorKind::BadUsage, "--gpt"));
  const Beside unreadable{"\xff.header", "\xff.footer", "\xff.filler"};
  EXPECT_THAT(with_partition_table(std::vector{part("a", 512)}, unreadable),
              FailsWith(ErrorKind::BadUsage, "not UTF-8"));
}

}  // namespace
}  // namespace flatimg::composite
