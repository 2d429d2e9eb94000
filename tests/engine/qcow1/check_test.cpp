#include "qcow1/check.h"

#include <gmock/gmock.h>

#include <set>

#include "codec/deflate.h"
#include "qcow1/header.h"
#include "support/forwarding_file.h"
#include "support/matchers.h"
#include "support/qcow1_builder.h"

namespace flatimg::qcow1 {
namespace {

using test::FailsWith;
using test::Qcow1Builder;
using test::Succeeds;

constexpr std::uint64_t kClusters = 8192;

// One L2 table of compressed clusters: more than are decoded at once.
class Qcow1DataCheck : public ::testing::Test {
 protected:
  Qcow1DataCheck() : image_({.cluster_bits = 9, .l2_bits = 13, .size = kClusters * 512}) {
    std::vector<std::byte> cluster(512, std::byte{0x33}), stream(512);
    stream.resize(deflate_into(cluster, stream).value_or(0));
    for (std::uint64_t guest = 0; guest < kClusters; ++guest) {
      places_.push_back(image_.add_stream(guest, damaged_.contains(guest) ? rubbish_ : stream));
    }
  }
  Result<CheckReport> check_data(HostFile& file, const Progress& progress = {}) {
    TRY(const Header header, read_header(file));
    TRY(CheckReport report, check(file, header));
    EXPECT_EQ(report.corruptions, 0u);
    return with_data_checked(file, header, std::move(report), progress);
  }

  const std::set<std::uint64_t> damaged_{0, 17, 4095, 4096, 5000, kClusters - 1};
  const std::vector<std::byte> rubbish_ = std::vector<std::byte>(20, std::byte{0xff});
  Qcow1Builder image_;
  std::vector<std::uint64_t> places_;
};

TEST_F(Qcow1DataCheck, TellsOfEachClusterThatCannotBeDecodedInTheOrderOfTheDisk) {
  const auto report = check_data(*image_.file());
  ASSERT_THAT(report, Succeeds());
  std::vector<std::string> due;
  for (const std::uint64_t guest : damaged_) {
    due.push_back(fmt::format("ERROR: guest byte {}: the compressed cluster at byte {} cannot be decoded", guest * 512,
                              places_[guest]));
  }
  EXPECT_EQ(report->corruptions, damaged_.size());
  EXPECT_THAT(report->sentences, ::testing::ElementsAreArray(due));
}

TEST_F(Qcow1DataCheck, TellsHowFarItHasComeWithoutFallingBack) {
  std::vector<double> shares;
  ASSERT_THAT(check_data(*image_.file(), [&](auto done, auto all) { shares.push_back(double(done) / double(all)); }),
              Succeeds());
  EXPECT_TRUE(std::is_sorted(shares.begin(), shares.end()));
  EXPECT_EQ(shares.back(), 1);
}

// Fails where one stream lies.
class BadSector final : public test::ForwardingFile {
 public:
  BadSector(std::shared_ptr<HostFile> inner, std::uint64_t at) : ForwardingFile(std::move(inner)), at_(at) {}
  Result<void> read(HostOffset at, std::span<std::byte> out) override {
    if (at == at_) return fail(ErrorKind::Io, "a bad sector");
    return ForwardingFile::read(at, out);
  }

 private:
  HostOffset at_;
};

TEST_F(Qcow1DataCheck, FailsWhereTheHostCannotRead) {
  BadSector file(image_.file(), places_[6000]);
  EXPECT_THAT(check_data(file), FailsWith(ErrorKind::Io, "a bad sector"));
}

}  // namespace
}  // namespace flatimg::qcow1
