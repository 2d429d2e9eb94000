#include "host/record_reader.h"

#include <gtest/gtest.h>

#include "support/forwarding_file.h"
#include "support/matchers.h"
#include "support/memory_file.h"

namespace flatimg {
namespace {

// Counts what is read, and fails when it is told to.
class WatchedFile final : public test::ForwardingFile {
 public:
  using ForwardingFile::ForwardingFile;
  Result<void> read(HostOffset at, std::span<std::byte> out) override {
    if (fails) return fail(ErrorKind::Io, "it was told to fail");
    ++reads;
    bytes += out.size();
    return ForwardingFile::read(at, out);
  }
  bool fails = false;
  unsigned reads = 0;
  std::size_t bytes = 0;
};

class Records : public ::testing::Test {
 protected:
  static constexpr std::size_t kSize = 4u << 20;

  static std::shared_ptr<HostFile> numbered_bytes() {
    std::vector<std::byte> bytes(kSize);
    for (std::size_t at = 0; at < bytes.size(); ++at) bytes[at] = value(at);
    return test::MemoryFile::containing(bytes);
  }
  static std::byte value(std::size_t at) { return at < kSize ? std::byte(at % 251) : std::byte(); }

  Result<std::span<const std::byte>> at(std::size_t begin, std::size_t length) {
    return reader_.read({HostOffset(begin), ByteCount(length)});
  }
  void expect_at(std::size_t begin, std::size_t length) {
    const auto found = at(begin, length);
    ASSERT_TRUE(found.has_value());
    ASSERT_EQ(found->size(), length);
    for (std::size_t n = 0; n < length; ++n) ASSERT_EQ((*found)[n], value(begin + n)) << begin + n;
  }

  WatchedFile file_{numbered_bytes()};
  RecordReader reader_{file_};
};

TEST_F(Records, AreReadManyAtOnceWhereTheyLieCloseTogether) {
  for (std::size_t at = 28; at < kSize; at += 12 + at % 5 * 100) expect_at(at, 12);
  EXPECT_LE(file_.reads, kSize / 60000);
}

TEST_F(Records, CostLittleWhereTheyLieFarApart) {
  for (std::size_t at = 0; at < kSize; at += 128u << 10) expect_at(at, 18);
  EXPECT_LE(file_.bytes, 65536 + 32 * 512u);
}

TEST_F(Records, MayBeAsLargeAsTheWindowWhereverTheyLie) {
  const std::size_t largest = RecordReader::kLargestRecord.value();
  expect_at(1000000, largest);
  expect_at(1000001, largest);
  expect_at(3000000, largest);
}

TEST_F(Records, AreFoundAgainInFrontOfTheLastOne) {
  expect_at(2000000, 100);
  expect_at(1999999, 100);
  expect_at(0, 1);
}

TEST_F(Records, AreZeroesBehindTheEndOfTheFile) {
  expect_at(kSize - 3, 18);
  expect_at(kSize + 5000, 3);
}

TEST_F(Records, AreNotTakenFromAWindowThatCouldNotBeRead) {
  expect_at(100, 12);
  file_.fails = true;
  EXPECT_FALSE(at(500000, 12).has_value());
  EXPECT_FALSE(at(500000, 12).has_value());
  EXPECT_FALSE(at(100, 12).has_value());
  file_.fails = false;
  expect_at(500000, 12);
  expect_at(100, 12);
}

}  // namespace
}  // namespace flatimg
