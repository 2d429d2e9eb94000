// Which headers are understood, and how each of the others is refused.
#include "qcow1/header.h"

#include "support/matchers.h"
#include "support/qcow1_builder.h"

namespace flatimg::qcow1 {
namespace {

using test::FailsWith;
using test::Qcow1Builder;
using test::Qcow1Shape;
using test::Succeeds;

struct Broken {
  std::string name;
  ErrorKind kind;
  std::string mentions;
  void (*inflict)(Qcow1Builder&);
  Qcow1Shape shape = {};
};
void PrintTo(const Broken& broken, std::ostream* out) { *out << broken.name; }

class BrokenQcow1Header : public ::testing::TestWithParam<Broken> {};

TEST_P(BrokenQcow1Header, IsRefusedWithItsReason) {
  Qcow1Builder image(GetParam().shape);
  GetParam().inflict(image);
  const auto file = image.file();
  EXPECT_THAT(read_header(*file), FailsWith(GetParam().kind, GetParam().mentions));
}

constexpr auto kInvalid = ErrorKind::InvalidImage;

INSTANTIATE_TEST_SUITE_P(
    Fields, BrokenQcow1Header,
    ::testing::Values(
        Broken{"magic", kInvalid, "no qcow image", [](auto& i) { i.put32(0, 0x514649fa); }},
        Broken{"empty_file", kInvalid, "no qcow image", [](auto& i) { i.resize(0); }},
        Broken{"half_a_header", kInvalid, "no qcow image", [](auto& i) { i.resize(47); }},
        Broken{"version_2", ErrorKind::Unsupported, "version 2", [](auto& i) { i.put32(4, 2); }},
        Broken{"cluster_bits_8", kInvalid, "2^8", [](auto& i) { i.put8(32, 8); }},
        Broken{"cluster_bits_17", kInvalid, "2^17", [](auto& i) { i.put8(32, 17); }},
        Broken{"cluster_bits_255", kInvalid, "2^255", [](auto& i) { i.put8(32, 255); }},
        Broken{"l2_bits_5", kInvalid, "2^5", [](auto& i) { i.put8(33, 5); }},
        Broken{"l2_bits_14", kInvalid, "2^14", [](auto& i) { i.put8(33, 14); }},
        Broken{"encryption_2", kInvalid, "method 2", [](auto& i) { i.put32(36, 2); }},
        Broken{"size_0", kInvalid, "too small", [](auto& i) { i.put64(24, 0); }},
        Broken{"size_1", kInvalid, "too small", [](auto& i) { i.put64(24, 1); }},
        Broken{"size_all_ones", kInvalid, "too large", [](auto& i) { i.put64(24, ~std::uint64_t{0}); }},
        Broken{"size_of_an_absurd_l1", ErrorKind::Limit, "L1 table", [](auto& i) { i.put64(24, 1ull << 62); }},
        Broken{"l1_beyond_the_file", kInvalid, "truncated", [](auto& i) { i.put64(24, 1ull << 40); }},
        Broken{"l1_on_the_header", kInvalid, "on the header", [](auto& i) { i.put64(40, 40); }},
        Broken{"l1_at_0", kInvalid, "on the header", [](auto& i) { i.put64(40, 0); }},
        Broken{"l1_far_away", kInvalid, "truncated", [](auto& i) { i.put64(40, ~std::uint64_t{7}); }},
        Broken{"name_of_1024_bytes", kInvalid, "too long", [](auto& i) { i.put64(8, 600), i.put32(16, 1024); }},
        Broken{"name_on_the_header", kInvalid, "on the header", [](auto& i) { i.put64(8, 47), i.put32(16, 4); }},
        Broken{"name_on_the_l1", kInvalid, "on the L1", [](auto& i) { i.put64(8, 48), i.put32(16, 4); }},
        Broken{"name_behind_the_end", kInvalid, "truncated", [](auto& i) { i.put64(8, i.end() - 3), i.put32(16, 4); }},
        Broken{"name_far_away", kInvalid, "truncated",
               [](auto& i) { i.put64(8, ~std::uint64_t{0} - 2), i.put32(16, 4); }}),
    [](const auto& param) { return param.param.name; });

TEST(Qcow1Header, TellsWhatStandsInIt) {
  const Qcow1Builder image({.cluster_bits = 9, .l2_bits = 12, .size = (3 << 20) + 1, .backing = "base"});
  const auto file = image.file();
  const auto header = read_header(*file);
  ASSERT_THAT(header, Succeeds());
  EXPECT_EQ(header->size, 3_MiB);  // rounded down to sectors
  EXPECT_EQ(header->cluster(), 512_B);
  EXPECT_EQ(header->l2_bytes(), 32_KiB);
  EXPECT_EQ(header->l1_entries, 2u);
  EXPECT_EQ(header->backing_name, "base");
  EXPECT_FALSE(header->xen);
}

TEST(Qcow1Header, ANameOfNoBytesIsNone) {
  Qcow1Builder image;
  image.put64(8, 48);
  const auto file = image.file();
  const auto header = read_header(*file);
  ASSERT_THAT(header, Succeeds());
  EXPECT_EQ(header->backing_name, std::nullopt);
}

TEST(Qcow1Header, SeesXensExtensionWhereTapdiskDoes) {
  const Qcow1Builder image({.xen = true, .clusters_at_once = 512, .backing = "/base"});
  const auto file = image.file();
  const auto header = read_header(*file);
  ASSERT_THAT(header, Succeeds());
  ASSERT_TRUE(header->xen);
  EXPECT_EQ(header->xen->clusters_at_once, 512u);
  EXPECT_TRUE(header->xen->has(xen_flag::kSparse));
  EXPECT_TRUE(header->xen->has(xen_flag::kL1BigEndian));
  EXPECT_EQ(header->backing_name, "/base");
}

TEST(Qcow1Header, XensMagicInAnotherPlaceIsNoExtension) {
  Qcow1Builder l1_begins_so;  // of a plain image whose first L1 entry looks like the magic
  l1_begins_so.put32(48, kXenMagic);
  const auto file = l1_begins_so.file();
  const auto header = read_header(*file);
  ASSERT_THAT(header, Succeeds());
  EXPECT_FALSE(header->xen);

  Qcow1Builder name_begins_so({.xen = true});
  name_begins_so.put64(8, 48);
  name_begins_so.put32(16, 10);
  const auto named = name_begins_so.file();
  const auto plain = read_header(*named);
  ASSERT_THAT(plain, Succeeds());
  EXPECT_FALSE(plain->xen);
  EXPECT_TRUE(plain->backing_name.has_value());
}

}  // namespace
}  // namespace flatimg::qcow1
