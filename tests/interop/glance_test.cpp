// What a listing is told of a file by its header alone.
#include "catalog/glance.h"

#include <gtest/gtest.h>

#include "host/posix_file.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace flatimg::catalog {
namespace {

Result<std::optional<Glance>> glance_at(const std::string& path) {
  auto file = open_host_file(path, Access::ReadOnly);
  if (!file) return Failure(std::move(file.error()));
  return glance(**file);
}

class CatalogGlance : public ::testing::Test {
 protected:
  test::TempDir dir_;
};

TEST_F(CatalogGlance, TellsTheSizeOfTheDiskByTheHeader) {
  if (!test::has_program("qemu-img")) GTEST_SKIP() << "qemu-img is not installed";
  for (const std::string format : {"qcow2", "qcow"}) {
    const std::string path = dir_ / format;
    ASSERT_EQ(test::run({"qemu-img", "create", "-q", "-f", format, path, "3G"}).exit_code, 0);
    const auto found = glance_at(path);
    ASSERT_TRUE(found.has_value() && found->has_value()) << format;
    EXPECT_EQ((*found)->format, format);
    EXPECT_EQ((*found)->virtual_size, ByteCount(std::uint64_t{3} << 30));
  }
}

TEST_F(CatalogGlance, WhatHasNoHeaderIsNoImage) {
  for (const std::string& bytes : {std::string(), std::string("QFI"), std::string(4096, '\0'), std::string(99, 'x')}) {
    const auto found = glance_at(dir_.write("file", bytes));
    ASSERT_TRUE(found.has_value()) << found.error().text;
    EXPECT_FALSE(found->has_value());
  }
}

TEST_F(CatalogGlance, AZstdFileWithoutSeekTableIsNoImage) {
  if (!test::has_program("zstd")) GTEST_SKIP() << "zstd is not installed";
  const std::string path = dir_.write("file", std::string(100000, 'x'));
  ASSERT_EQ(test::run({"zstd", "-q", path}).exit_code, 0);
  const auto found = glance_at(path + ".zst");
  ASSERT_TRUE(found.has_value()) << found.error().text;
  EXPECT_FALSE(found->has_value());
}

TEST_F(CatalogGlance, WhatBeginsLikeAnImageAndCannotBeOneIsAnError) {
  using namespace std::string_literals;
  for (const std::string& bytes : {"QFI\xfb\0\0\0\3"s + std::string(100, '\xff'), "QFI\xfb\0\0\0\1"s,
                                   "\x3a\xff\x26\xed"s + std::string(40, '\0'), "composite_disk\x1d"s}) {
    EXPECT_FALSE(glance_at(dir_.write("file", bytes)).has_value());
  }
}

}  // namespace
}  // namespace flatimg::catalog
