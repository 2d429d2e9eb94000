// Broken and absurd qcow images (version 1): each is refused or opened within a second and 64 MiB, for reading and for
// writing, and the file stays as it was.
#include <filesystem>

#include "catalog/check_image.h"
#include "hostile/hostile_image.h"
#include "support/qcow1_builder.h"

namespace flatimg {
namespace {

using test::Qcow1Builder;
using test::Qcow1Shape;
using test::Verdict;

struct Hostile {
  std::string name;
  std::optional<ErrorKind> refused;  // nullopt: opens
  std::string mentions;
  void (*inflict)(Qcow1Builder&);
  Qcow1Shape shape = {};
  std::uint64_t file_size = 0;  // the rest is a hole
};
void PrintTo(const Hostile& hostile, std::ostream* out) { *out << hostile.name; }

class HostileQcow1 : public ::testing::TestWithParam<Hostile> {
 protected:
  void SetUp() override {
    Qcow1Builder image(GetParam().shape);
    GetParam().inflict(image);
    image.save(path_);
    if (GetParam().file_size != 0) std::filesystem::resize_file(path_, GetParam().file_size);
  }
  [[nodiscard]] catalog::OpenRequest request(Access access) const {
    auto request = test::request_for(path_, access);
    request.format = "qcow";
    return request;
  }

  test::TempDir dir_;
  std::string path_ = dir_ / "image.qcow";
};

TEST_P(HostileQcow1, CostsLittleAndChangesNothing) {
  const bool small = std::filesystem::file_size(path_) < (1u << 20);
  const std::string before = small ? test::contents_of(path_) : "";
  for (const Access access : {Access::ReadOnly, Access::ReadWrite}) {
    const Verdict verdict = test::in_cage([&] { return test::with_disk(request(access), test::read_everything); });
    EXPECT_EQ(test::complaint_about(verdict), "");
    if (GetParam().refused) {
      EXPECT_EQ(verdict.kind, Verdict::Kind::Failure);
      EXPECT_EQ(verdict.error, *GetParam().refused) << verdict.text;
      EXPECT_NE(verdict.text.find(GetParam().mentions), std::string::npos) << verdict.text;
    } else {
      EXPECT_EQ(verdict.kind, Verdict::Kind::Success) << verdict.text;
    }
    EXPECT_TRUE(!small || test::contents_of(path_) == before) << "opening it has changed the file";
  }
}

TEST_P(HostileQcow1, CanBeCheckedWithinTheSameBounds) {
  const Verdict verdict = test::in_cage([&]() -> Result<void> {
    CHECK(catalog::check_image({path_, "qcow", {}}, catalog::CheckDepth::Data, {}));
    return {};
  });
  EXPECT_EQ(test::complaint_about(verdict), "");
}

constexpr auto kInvalid = ErrorKind::InvalidImage;
constexpr auto kCorrupt = ErrorKind::CorruptImage;
constexpr std::uint64_t kGiB = 1u << 30;

INSTANTIATE_TEST_SUITE_P(
    Images, HostileQcow1,
    ::testing::Values(
        Hostile{"huge_disk_in_a_small_file", kInvalid, "truncated", [](auto& i) { i.put64(24, 1ull << 41); }},
        Hostile{"huge_disk_in_a_sparse_file",
                std::nullopt,
                "",
                [](auto& i) { i.set_l1(0, 0), i.put64(24, 1ull << 41); },
                {},
                64 * kGiB},
        Hostile{"disk_of_2_to_the_62",
                ErrorKind::Limit,
                "L1 table",
                [](auto& i) { i.put64(24, 1ull << 62); },
                {},
                64 * kGiB},
        Hostile{"native_l1_in_a_sparse_file",
                std::nullopt,
                "",
                [](auto& i) { i.set_l1(0, 0), i.put64(24, 1ull << 41); },
                {.xen = true, .xen_flags = 0},
                64 * kGiB},
        Hostile{
            "l2_table_is_the_l1_table", kCorrupt, "on each other", [](auto& i) { i.set_l1(0, 512); }, {.size = kGiB}},
        Hostile{"l2_table_is_the_header",
                kCorrupt,
                "on each other",
                [](auto& i) { i.set_l1(0, 512); },
                {.size = 200 * kGiB}},
        Hostile{"l2_table_far_away", kInvalid, "truncated", [](auto& i) { i.set_l1(0, ~std::uint64_t{0} << 9); }},
        Hostile{"l2_table_misaligned", kCorrupt, "not aligned", [](auto& i) { i.set_l1(0, i.l2_table() + 1); }},
        Hostile{"data_far_away", kInvalid, "truncated", [](auto& i) { i.put64(i.l2_entry(0), (1ull << 63) - 512); }},
        Hostile{"data_misaligned", kCorrupt, "not aligned", [](auto& i) { i.put64(i.l2_entry(0), i.l2_table() + 8); }},
        Hostile{"stream_far_away", kInvalid, "truncated",
                [](auto& i) { i.put64(i.l2_entry(0), i.compressed_entry((1ull << 51) - 1, 100)); }},
        Hostile{"stream_that_is_no_stream", kCorrupt, "compressed",
                [](auto& i) { i.add_stream(0, std::vector<std::byte>(300, std::byte{0xff})); }},
        Hostile{"stream_of_no_bytes", kCorrupt, "compressed",
                [](auto& i) { i.put64(i.l2_entry(0), i.compressed_entry(4096, 0)); }},
        Hostile{"stream_that_ends_behind_the_file", kCorrupt, "behind the end",
                [](auto& i) { i.put64(i.l2_entry(0), i.compressed_entry(i.end() - 5, 4000)); }},
        Hostile{"every_cluster_is_the_same", std::nullopt, "",
                [](auto& i) {
                  const auto at = i.add_data(0);
                  for (std::uint64_t n = 0; n < 512; ++n) i.put64(i.l2_entry(n), at);
                }},
        Hostile{"every_cluster_is_the_table", std::nullopt, "",
                [](auto& i) {
                  for (std::uint64_t n = 0; n < 512; ++n) i.put64(i.l2_entry(n), i.l2_table());
                }},
        Hostile{"no_backing_file", ErrorKind::NotFound, "gone", [](auto&) {}, {.backing = "gone"}},
        Hostile{"backing_file_elsewhere", ErrorKind::Denied, "passwd", [](auto&) {}, {.backing = "/etc/passwd"}},
        Hostile{"backing_file_is_itself", kInvalid, "image.qcow: ", [](auto&) {}, {.backing = "image.qcow"}},
        Hostile{
            "backing_name_is_a_protocol", std::nullopt, "", [](auto& i) { i.put32(16, 0); }, {.backing = "json:{}"}},
        Hostile{"no_key", ErrorKind::Denied, "key-file", [](auto& i) { i.put32(36, 1); }}),
    [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace flatimg
