#include "qcow2/data_check.h"

#include <gmock/gmock.h>

#include "codec/deflate.h"
#include "qcow2/check.h"
#include "support/qcow2_builder.h"

namespace flatimg::qcow2 {
namespace {

using test::Qcow2Builder;

/// Stores a compressed cluster at a guest cluster; returns where its stream begins.
std::uint64_t add_compressed(Qcow2Builder& image, std::uint64_t guest_cluster) {
  const std::vector<std::byte> content(image.cluster_size(), std::byte{0x37});
  std::vector<std::byte> stream(image.cluster_size());
  const std::size_t bytes = deflate_into(content, stream).value();
  const std::uint64_t at = image.add_cluster();
  image.put_text(at, {reinterpret_cast<const char*>(stream.data()), bytes});
  image.put64(image.l2_entry(guest_cluster), image.compressed_entry(at, (bytes - 1) / 512));
  return at;
}

CheckReport report_on(const Qcow2Builder& image) {
  const auto file = image.file();
  const Header header = image.header().value();
  return with_data_checked(*file, header, check(*file, header).value()).value();
}

TEST(Qcow2DataCheck, FindsNothingWhereEveryClusterDecodes) {
  Qcow2Builder image;
  for (const std::uint64_t guest : {0u, 3u, 4u}) (void)add_compressed(image, guest);
  EXPECT_EQ(report_on(image).corruptions, 0u);
}

TEST(Qcow2DataCheck, TellsWhichGuestByteCannotBeDecoded) {
  Qcow2Builder image;
  (void)add_compressed(image, 0);
  image.put64(add_compressed(image, 3), ~std::uint64_t{0});
  const CheckReport report = report_on(image);
  EXPECT_EQ(report.corruptions, 1u);
  EXPECT_THAT(report.sentences, ::testing::ElementsAre(::testing::HasSubstr("guest byte 0x3000, stored at")));
}

TEST(Qcow2DataCheck, ReadsAStreamThatEndsBehindTheFile) {
  Qcow2Builder image;
  image.resize(add_compressed(image, 0) + 100);
  EXPECT_EQ(report_on(image).corruptions, 0u);
}

TEST(Qcow2DataCheck, LooksAtSnapshotsAndAtSharedTablesOnce) {
  Qcow2Builder image;
  image.put64(add_compressed(image, 2), ~std::uint64_t{0});
  image.set_refcount(image.get64(image.l2_entry(2)) % image.cluster_size(), 1);
  image.add_snapshots(2);
  image.put64(image.l1_table(), 0);  // only the snapshots name the table
  const CheckReport report = report_on(image);
  const auto named = [](const std::string& sentence) { return sentence.find("of snapshot 1") != std::string::npos; };
  EXPECT_EQ(std::count_if(report.sentences.begin(), report.sentences.end(), named), 1);
}

TEST(Qcow2DataCheck, DecodesMoreThanABatch) {
  Qcow2Builder image({.cluster_bits = 16, .size = 512u << 20});
  const std::uint64_t good = image.get64(image.l2_entry(0));
  EXPECT_EQ(good, 0u);
  const std::uint64_t at = add_compressed(image, 0);
  const std::uint64_t entry = image.get64(image.l2_entry(0));
  for (std::uint64_t guest = 0; guest < 8192; ++guest) image.put64(image.l2_entry(guest), entry);
  image.put64(at, ~std::uint64_t{0});
  const auto file = image.file();
  const auto report = with_data_checked(*file, image.header().value(), CheckReport{});
  ASSERT_TRUE(report.has_value()) << report.error().text;
  EXPECT_EQ(report->corruptions, 8192u);
}

}  // namespace
}  // namespace flatimg::qcow2
