#include "qcow2/header.h"

#include <gmock/gmock.h>

#include "support/qcow2_builder.h"

namespace flatimg::qcow2 {
namespace {

using test::Qcow2Builder;

// What is said of the image with one field changed.
ErrorKind refusal_of(const std::function<void(Qcow2Builder&)>& change, const test::Qcow2Shape& shape = {}) {
  Qcow2Builder image(shape);
  change(image);
  const auto header = image.header();
  EXPECT_FALSE(header.has_value());
  return header ? ErrorKind::Io : header.error().kind;
}

TEST(Qcow2Header, ReadsWhatTheBuilderWrote) {
  const Header header = Qcow2Builder().header().value();
  EXPECT_EQ(header.version, 3u);
  EXPECT_EQ(header.cluster(), 4_KiB);
  EXPECT_EQ(header.size, 8_MiB);
  EXPECT_EQ(header.l1_entries, 4u);
  EXPECT_EQ(header.refcount_order, 4u);
}

TEST(Qcow2Header, NeverTakesBytesBehindAVersion2HeaderForFeatures) {
  Qcow2Builder image({.version = 2});
  image.put64(80, ~std::uint64_t{0});  // behind an end marker: nothing
  const Header header = image.header().value();
  EXPECT_EQ(header.incompatible, 0u);
  EXPECT_EQ(header.refcount_order, 4u);
  EXPECT_EQ(header.header_length, 72u);
}

TEST(Qcow2Header, TakesAHeaderOf104BytesAndLongerOnes) {
  for (const std::uint32_t length : {104u, 112u, 256u}) {
    Qcow2Builder image;
    image.put32(100, length);
    EXPECT_TRUE(image.header().has_value()) << length;
  }
}

TEST(Qcow2Header, RefusesImpossibleNumbers) {
  EXPECT_EQ(refusal_of([](auto& image) { image.put32(0, 0); }), ErrorKind::InvalidImage);
  EXPECT_EQ(refusal_of([](auto& image) { image.put32(4, 4); }), ErrorKind::Unsupported);
  EXPECT_EQ(refusal_of([](auto& image) { image.put32(20, 8); }), ErrorKind::InvalidImage);
  EXPECT_EQ(refusal_of([](auto& image) { image.put32(20, 63); }), ErrorKind::InvalidImage);
  EXPECT_EQ(refusal_of([](auto& image) { image.put32(36, 3); }), ErrorKind::InvalidImage);
  EXPECT_EQ(refusal_of([](auto& image) { image.put32(36, ~0u); }), ErrorKind::Limit);
  EXPECT_EQ(refusal_of([](auto& image) { image.put64(40, 100); }), ErrorKind::InvalidImage);
  EXPECT_EQ(refusal_of([](auto& image) { image.put64(40, std::uint64_t{1} << 60); }), ErrorKind::InvalidImage);
  EXPECT_EQ(refusal_of([](auto& image) { image.put32(56, ~0u); }), ErrorKind::Limit);
  EXPECT_EQ(refusal_of([](auto& image) { image.put32(60, 65537); }), ErrorKind::Limit);
  EXPECT_EQ(refusal_of([](auto& image) { image.put32(60, 65536); }), ErrorKind::InvalidImage);
  EXPECT_EQ(refusal_of([](auto& image) { image.put32(96, 7); }), ErrorKind::InvalidImage);
  EXPECT_EQ(refusal_of([](auto& image) { image.put32(100, 103); }), ErrorKind::InvalidImage);
}

TEST(Qcow2Header, RefusesABackingNameOutsideOfTheFirstCluster) {
  EXPECT_EQ(refusal_of([](auto& image) {
              image.put64(8, 4090);
              image.put32(16, 10);
            }),
            ErrorKind::InvalidImage);
}

TEST(Qcow2Header, RefusesAnExtensionThatIsLongerThanTheHeader) {
  EXPECT_EQ(refusal_of([](auto& image) {
              image.put32(112, 0x12345678);
              image.put32(116, 0x7fffffff);
            }),
            ErrorKind::InvalidImage);
}

TEST(Qcow2Header, NamesTheFeatureThatIsMissing) {
  Qcow2Builder image({.incompatible = 1u << 5});
  std::string names(48, '\0');
  names[1] = 5;
  names.replace(2, 9, "time warp");
  image.add_extension(extension::kFeatureNames, names);
  const auto header = image.header();
  ASSERT_FALSE(header.has_value());
  EXPECT_EQ(header.error().kind, ErrorKind::Unsupported);
  EXPECT_THAT(header.error().text, ::testing::HasSubstr("time warp"));
}

TEST(Qcow2Header, KeepsUnknownExtensions) {
  Qcow2Builder image;
  image.add_extension(0x12345678, "hello");
  const Header header = image.header().value();
  ASSERT_EQ(header.extensions.size(), 1u);
  EXPECT_EQ(header.extensions[0].payload.size(), 5u);
}

}  // namespace
}  // namespace flatimg::qcow2
