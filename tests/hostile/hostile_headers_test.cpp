// Broken and absurd headers: each is refused with one line of the right kind, for reading and for writing, within a
// second and 64 MiB, and the file stays as it was.
#include <array>

#include "hostile/hostile_image.h"

namespace flatimg {
namespace {

using test::Break;
using test::Qcow2Builder;
using test::Qcow2Shape;
using test::Verdict;
namespace bit = qcow2::incompatible;

struct Broken {
  std::string name;
  ErrorKind kind;
  Break inflict;
  Qcow2Shape shape = {};
  std::string mentions = "";
};
void PrintTo(const Broken& broken, std::ostream* out) { *out << broken.name; }

constexpr auto kInvalid = ErrorKind::InvalidImage;
constexpr auto kCorrupt = ErrorKind::CorruptImage;
constexpr auto kLimit = ErrorKind::Limit;
constexpr auto kUnsupported = ErrorKind::Unsupported;

Break put32(std::uint64_t at, std::uint32_t value) {
  return [=](Qcow2Builder& image) { image.put32(at, value); };
}
Break put64(std::uint64_t at, std::uint64_t value) {
  return [=](Qcow2Builder& image) { image.put64(at, value); };
}

std::vector<Broken> fields() {
  return {
      {"magic", kInvalid, put32(0, 0x514649fa)},
      {"version_0", kUnsupported, put32(4, 0)},
      {"version_1", kUnsupported, put32(4, 1)},
      {"version_4", kUnsupported, put32(4, 4)},
      {"version_huge", kUnsupported, put32(4, 0xffffffff)},
      {"cluster_bits_0", kInvalid, put32(20, 0)},
      {"cluster_bits_8", kInvalid, put32(20, 8)},
      {"cluster_bits_22", kInvalid, put32(20, 22)},
      {"cluster_bits_40", kInvalid, put32(20, 40)},
      {"cluster_bits_63", kInvalid, put32(20, 63)},
      {"cluster_bits_huge", kInvalid, put32(20, 0xffffffff)},
      {"another_cluster_size", kInvalid, put32(20, 21)},
      {"size_all_ones", kInvalid, put64(24, ~std::uint64_t{0})},
      {"size_2_to_the_63", kInvalid, put64(24, std::uint64_t{1} << 63)},
      {"size_one_l1_entry_more", kInvalid, put64(24, (std::uint64_t{8} << 20) + 512)},
      {"encryption_aes_without_a_key", ErrorKind::Denied, put32(32, 1)},
      {"encryption_luks_without_a_header", kInvalid, put32(32, 2)},
      {"encryption_3", kInvalid, put32(32, 3)},
      {"refcount_order_7", kInvalid, put32(96, 7)},
      {"refcount_order_huge", kInvalid, put32(96, 0xffffffff)},
      {"header_length_0", kInvalid, put32(100, 0)},
      {"header_length_103", kInvalid, put32(100, 103)},
      {"header_length_beyond_the_cluster", kInvalid, put32(100, 4097)},
      {"header_length_huge", kInvalid, put32(100, 0xffffffff)},
      {"compression_type_2", kUnsupported, put32(104, 0x02000000)},
      {"compression_type_without_its_bit", kInvalid, put32(104, 0x01000000)},
      {"compression_bit_without_type", kInvalid, put64(72, bit::kCompressionType)},
      {"extended_entries_in_small_clusters", kInvalid, put64(72, bit::kExtendedL2)},
      {"data_file_without_name", kInvalid, put64(72, bit::kDataFile)},
  };
}

std::vector<Broken> l1_and_snapshots() {
  const auto l1_at = [](std::uint64_t at) { return put64(40, at); };
  return {
      {"l1_size_all_ones", kLimit, put32(36, 0xffffffff)},
      {"l1_size_beyond_the_limit", kLimit, put32(36, (32u << 20) / 8 + 1)},
      {"l1_size_at_the_limit", kInvalid, put32(36, (32u << 20) / 8)},
      {"l1_size_0", kInvalid, put32(36, 0)},
      {"l1_size_too_small", kInvalid, [](Qcow2Builder& image) { image.put32(36, image.l1_entries() - 1); }},
      {"l1_and_size_all_ones", kLimit,
       [](Qcow2Builder& image) {
         image.put32(36, 0xffffffff);
         image.put64(24, ~std::uint64_t{0});
       }},
      {"l1_on_the_header", kInvalid, l1_at(0)},
      {"l1_misaligned", kInvalid, l1_at(3 * 4096 + 512)},
      {"l1_behind_the_end", kInvalid, l1_at(std::uint64_t{1} << 30)},
      {"l1_at_all_ones", kInvalid, l1_at(~std::uint64_t{0} - 4095)},
      {"l1_on_the_refcount_table", kCorrupt, l1_at(4096)},
      {"l1_on_the_refcount_block", kCorrupt, l1_at(2 * 4096)},
      {"snapshots_65536_on_the_header", kInvalid, put32(60, 65536)},
      {"snapshots_65537", kLimit, put32(60, 65537)},
      {"snapshots_all_ones", kLimit, put32(60, 0xffffffff)},
      {"snapshots_misaligned", kInvalid,
       [](Qcow2Builder& image) {
         image.put32(60, 1);
         image.put64(64, 4096 * 3 + 8);
       }},
      {"snapshots_at_all_ones", kInvalid,
       [](Qcow2Builder& image) {
         image.put32(60, 1);
         image.put64(64, ~std::uint64_t{0} - 4095);
       }},
  };
}

std::vector<Broken> refcount_tables() {
  const auto block = [](std::uint64_t entry) {
    return [entry](Qcow2Builder& image) { image.put64(image.refcount_table() + 8, entry); };
  };
  return {
      {"refcount_table_on_the_header", kInvalid, put64(48, 0)},
      {"refcount_table_misaligned", kInvalid, put64(48, 4096 + 512)},
      {"refcount_table_behind_the_end", kInvalid, put64(48, std::uint64_t{1} << 40)},
      {"refcount_table_at_all_ones", kInvalid, put64(48, ~std::uint64_t{0} - 4095)},
      {"refcount_table_on_the_l1", kCorrupt, put64(48, 3 * 4096)},
      {"refcount_table_on_the_l2", kCorrupt, put64(48, 4 * 4096)},
      {"refcount_table_of_0_clusters", kInvalid, put32(56, 0)},
      {"refcount_table_all_ones", kLimit, put32(56, 0xffffffff)},
      {"refcount_table_beyond_the_limit", kLimit, put32(56, (8u << 20) / 4096 + 1)},
      {"refcount_table_at_the_limit", kInvalid, put32(56, (8u << 20) / 4096)},
      {"refcount_block_misaligned", kCorrupt, block(4096 + 1024)},
      {"refcount_block_reserved_bits", kCorrupt, block(7)},
      {"refcount_block_behind_the_end", kCorrupt, block(std::uint64_t{1} << 40)},
      {"refcount_block_twice", kCorrupt, block(2 * 4096)},
      {"refcount_block_on_the_refcount_table", kCorrupt, block(4096)},
      {"refcount_block_on_the_l1", kCorrupt, block(3 * 4096)},
      {"refcount_block_on_the_l2", kCorrupt, block(4 * 4096)},
  };
}

std::vector<Broken> extensions_and_names() {
  const auto unknown_bit = [](unsigned number, const std::string& name) {
    return [=](Qcow2Builder& image) {
      image.put64(72, std::uint64_t{1} << number);
      if (name.empty()) return;
      std::string entry(48, '\0');
      entry[1] = static_cast<char>(number);
      entry.replace(2, name.size(), name);
      image.add_extension(qcow2::extension::kFeatureNames, entry);
    };
  };
  const auto backing = [](std::uint64_t at, std::uint32_t length) {
    return [=](Qcow2Builder& image) {
      image.put64(8, at);
      image.put32(16, length);
    };
  };
  return {
      {"feature_5", kUnsupported, unknown_bit(5, ""), {}, "bit 5"},
      {"feature_63", kUnsupported, unknown_bit(63, ""), {}, "bit 63"},
      {"feature_with_a_name", kUnsupported, unknown_bit(7, "shiny thing"), {}, "shiny thing"},
      {"feature_with_an_evil_name",
       kUnsupported,
       unknown_bit(7, std::string("two\nlines\x1b[2J\0more", 20)),
       {},
       "two?lines"},
      {"all_features", kUnsupported, put64(72, ~std::uint64_t{0})},
      {"extension_huge", kInvalid,
       [](Qcow2Builder& image) {
         image.put32(112, 0x12345678);
         image.put32(116, 0x7fffffff);
       }},
      {"extension_all_ones", kInvalid,
       [](Qcow2Builder& image) {
         image.put32(112, 0x12345678);
         image.put32(116, 0xffffffff);
       }},
      {"extension_one_byte_too_long", kInvalid,
       [](Qcow2Builder& image) {
         image.put32(112, 0x12345678);
         image.put32(116, 4096 - 120 + 1);
       }},
      {"bitmaps_extension_too_short", kInvalid,
       [](Qcow2Builder& image) { image.add_extension(qcow2::extension::kBitmaps, "short"); }},
      {"crypto_extension_too_short", kInvalid,
       [](Qcow2Builder& image) { image.add_extension(qcow2::extension::kCrypto, "short"); }},
      {"backing_name_behind_the_cluster", kInvalid, backing(4096, 5)},
      {"backing_name_at_all_ones", kInvalid, backing(~std::uint64_t{0}, 5)},
      {"backing_name_leaves_the_cluster", kInvalid, backing(4090, 7)},
      {"backing_name_of_1024", kInvalid, backing(200, 1024)},
      {"backing_name_huge", kInvalid, backing(200, 0xffffffff)},
      {"backing_name_is_nul", kInvalid, backing(200, 5)},
  };
}

class HostileHeader : public ::testing::TestWithParam<Broken> {};

TEST_P(HostileHeader, IsRefusedInOneLine) {
  const Broken& broken = GetParam();
  Qcow2Builder image(broken.shape);
  image.add_data(0);
  broken.inflict(image);
  const test::TempDir directory;
  image.save(directory / "image");
  const Verdict verdict = test::open_both_ways(directory / "image");
  EXPECT_EQ(verdict.kind, Verdict::Kind::Failure) << ::testing::PrintToString(verdict);
  EXPECT_EQ(verdict.error, broken.kind) << verdict.text;
  EXPECT_NE(verdict.text.find("image"), std::string::npos) << "does not name the file: " << verdict.text;
  EXPECT_NE(verdict.text.find(broken.mentions), std::string::npos) << verdict.text;
}

const auto kName = [](const auto& param) { return param.param.name; };
INSTANTIATE_TEST_SUITE_P(Fields, HostileHeader, ::testing::ValuesIn(fields()), kName);
INSTANTIATE_TEST_SUITE_P(L1, HostileHeader, ::testing::ValuesIn(l1_and_snapshots()), kName);
INSTANTIATE_TEST_SUITE_P(Refcounts, HostileHeader, ::testing::ValuesIn(refcount_tables()), kName);
INSTANTIATE_TEST_SUITE_P(Extensions, HostileHeader, ::testing::ValuesIn(extensions_and_names()), kName);

// --- truncated ------------------------------------------------------------------------------------------------------

TEST(TruncatedImage, IsRefusedAtEveryLengthThatLosesATable) {
  Qcow2Builder whole;
  const std::uint64_t data = whole.add_data(0);
  for (const std::uint64_t length :
       {0u,    1u,    3u,    4u,    7u,    8u,    19u,    20u,    24u,    71u,    72u,
        73u,   103u,  104u,  105u,  111u,  112u,  113u,   119u,   511u,   512u,   513u,
        4095u, 4096u, 4097u, 8191u, 8192u, 8193u, 12288u, 16384u, 16385u, 20479u, 20480u}) {
    SCOPED_TRACE(length);
    Qcow2Builder image = whole;
    image.resize(length);
    const test::TempDir directory;
    image.save(directory / "image");
    const Verdict verdict = test::open_both_ways(directory / "image");
    // A file may end within its last cluster.
    const bool within_l2 = length > data - 4096 && length < data;
    if (within_l2 && verdict.kind == Verdict::Kind::Success) continue;
    EXPECT_EQ(verdict.kind, Verdict::Kind::Failure);
    EXPECT_TRUE(verdict.error == kInvalid || verdict.error == kCorrupt) << verdict.text;
  }
}

TEST(TruncatedImage, MayEndWithinItsLastCluster) {
  for (const std::uint64_t cut : {1u, 511u, 512u, 4095u}) {
    SCOPED_TRACE(cut);
    Qcow2Builder image;
    image.add_data(0);
    image.resize(image.end() - cut);
    const test::TempDir directory;
    image.save(directory / "image");
    const auto verdict = test::in_cage([&] {
      return test::with_disk(test::request_for(directory / "image", Access::ReadWrite), [](Disk& disk) -> Result<void> {
        CHECK(test::read_everything(disk));
        return disk.write(GuestOffset(0), std::vector<std::byte>(10000, std::byte{7}));
      });
    });
    EXPECT_EQ(complaint_about(verdict), "");
    EXPECT_EQ(verdict.kind, Verdict::Kind::Success) << verdict.text;
  }
}

// --- strange, but allowed -------------------------------------------------------------------------------------------

struct Strange {
  std::string name;
  Break make;
  Qcow2Shape shape = {};
};
void PrintTo(const Strange& strange, std::ostream* out) { *out << strange.name; }

std::vector<Strange> strange_headers() {
  return {
      {"size_0", put64(24, 0)},
      {"size_within_a_sector", put64(24, 4096 + 100)},
      {"header_length_104", put32(100, 104)},
      {"header_length_odd", put32(100, 113)},
      {"header_length_of_a_later_version", put32(100, 256)},
      {"backing_name_without_letters", put64(8, 200)},
      {"backing_length_without_a_place", put32(16, 2000)},
      {"unknown_compatible_and_autoclear_bits",
       [](Qcow2Builder& image) {
         image.put64(80, ~std::uint64_t{0});
         image.put64(88, ~std::uint64_t{2});
       }},
      {"unterminated_extensions",
       [](Qcow2Builder& image) { image.add_extension(0x12345678, std::string(4096 - 120, 'x')); }},
      {"many_small_extensions",
       [](Qcow2Builder& image) {
         for (int n = 0; n < 490; ++n) image.add_extension(0x12345678, "");
       }},
      {"version_2_with_garbage_behind_its_header",
       [](Qcow2Builder& image) {
         for (std::uint64_t at = 72; at < 112; at += 8) image.put64(at, 0x0000000100000000);
       },
       {.version = 2}},
      {"l1_larger_than_needed", put32(36, 500)},
      {"dirty_with_lazy_refcounts_for_reading", put64(80, 1)},
  };
}

class StrangeHeader : public ::testing::TestWithParam<Strange> {};

TEST_P(StrangeHeader, OpensAndReadsAndIsNotChangedByThat) {
  Qcow2Builder image(GetParam().shape);
  image.add_data(0);
  GetParam().make(image);
  const test::TempDir directory;
  const std::string path = directory / "image";
  image.save(path);
  const Verdict verdict = test::open_both_ways(path);
  EXPECT_EQ(verdict.kind, Verdict::Kind::Success) << ::testing::PrintToString(verdict);
  const Verdict read =
      test::in_cage([&] { return test::with_disk(test::request_for(path, Access::ReadOnly), test::read_everything); });
  EXPECT_EQ(complaint_about(read), "");
  EXPECT_EQ(read.kind, Verdict::Kind::Success) << read.text;
}
INSTANTIATE_TEST_SUITE_P(Strange, StrangeHeader, ::testing::ValuesIn(strange_headers()), kName);

}  // namespace
}  // namespace flatimg
