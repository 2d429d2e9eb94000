// qcow (version 1) while every call to the image or to its base fails: fault_trial.h has the judge.
#include <gtest/gtest.h>

#include "base/log.h"
#include "fault/fault_trial.h"
#include "qcow1/check.h"
#include "qcow1/create.h"
#include "qcow1/header.h"
#include "qcow1/qcow1_image.h"
#include "raw/raw_image.h"
#include "support/matchers.h"
#include "support/qcow1_builder.h"

namespace flatimg {
namespace {

using test::Dresser;
using test::Files;
using test::MemoryFile;
using test::Succeeds;

struct Setting {
  std::string name;
  test::Qcow1Shape shape = {};
  bool compressed = false;
  bool with_base = false;
  std::optional<qcow1::Xen> made_by_us = {};  // instead of the shape
  ByteCount cache = 1_MiB;
  std::uint64_t stride = 1;  // every so many calls are failed
};
void PrintTo(const Setting& setting, std::ostream* out) { *out << setting.name; }

// Of Files.
constexpr std::size_t kImage = 0;
constexpr std::size_t kBase = 1;

/// Every unit of the disk, as a stream.
void write_compressed(Disk& disk, std::span<const std::byte> bytes) {
  const std::size_t unit = disk.traits().unit.value();
  for (std::size_t at = 0; at < bytes.size(); at += unit) {
    const auto encoded = disk.top().encode(bytes.subspan(at, unit));
    ASSERT_THAT(encoded, Succeeds());
    ASSERT_THAT(disk.write_encoded(GuestOffset(at), *encoded), Succeeds());
  }
}

class Qcow1Fault : public ::testing::TestWithParam<Setting>, protected test::Subject {
 protected:
  void SetUp() override {
    configure_log(LogTarget::StandardError, LogLevel::Error);
    const Setting& setting = GetParam();
    start_ = test::some_sectors(setting.shape.size / test::kSector);
    files_.resize(2);
    if (setting.with_base) files_[kBase] = MemoryFile::containing(test::bytes_of_sectors(start_));
    ASSERT_NO_FATAL_FAILURE(make_image());
    if (setting.with_base) return;
    ASSERT_NO_FATAL_FAILURE(fill());
  }

  void make_image() {
    const Setting& setting = GetParam();
    if (!setting.made_by_us) {
      files_[kImage] = test::Qcow1Builder(setting.shape).file();
      return;
    }
    files_[kImage] = std::make_shared<MemoryFile>();
    qcow1::CreateOptions options{.size = ByteCount(setting.shape.size)};
    options.xen = *setting.made_by_us;
    ASSERT_THAT(qcow1::create(*files_[kImage], options), Succeeds());
  }

  void fill() {
    auto disk = test::open_sound(*this, files_);
    ASSERT_THAT(disk, Succeeds());
    const auto bytes = test::bytes_of_sectors(start_);
    if (GetParam().compressed) {
      write_compressed(**disk, bytes);
    } else {
      ASSERT_THAT((*disk)->write(GuestOffset(0), bytes), Succeeds());
    }
    ASSERT_THAT((*disk)->close(), Succeeds());
  }

  [[nodiscard]] const Files& files() const override { return files_; }
  [[nodiscard]] const std::vector<std::byte>& sectors() const override { return start_; }

  Result<std::unique_ptr<Disk>> open(Dresser& files) override {
    std::unique_ptr<Image> base;
    if (GetParam().with_base) {
      TRY(base, raw::RawImage::open(files.dressed(kBase), nullptr));
    }
    auto file = files.dressed(kImage);
    TRY(qcow1::Header header, qcow1::read_header(*file));
    qcow1::OpenOptions options;
    options.writable = true;
    options.flush_interval = std::chrono::milliseconds(0);
    options.cache_size = GetParam().cache;
    TRY(auto image, qcow1::Qcow1Image::open(std::move(file), std::move(header), base.get(), options));
    return test::disk_of(std::move(image), std::move(base));
  }

  // The format knows no leaks.
  void expect_no_errors(const Files& files, test::Leaks /*leaks*/) override {
    const auto header = qcow1::read_header(*files[kImage]);
    ASSERT_THAT(header, Succeeds());
    auto report = qcow1::check(*files[kImage], *header);
    ASSERT_THAT(report, Succeeds());
    EXPECT_EQ(report->check_errors + report->corruptions, 0u);
    for (const std::string& sentence : report->sentences) ADD_FAILURE() << sentence;
  }

  Files files_;
  std::vector<std::byte> start_;
};

TEST_P(Qcow1Fault, IsReportedHonestlyAndDoesNoHarm) { test::fail_every_call(*this, GetParam().stride); }

constexpr std::uint64_t kSize = 256 << 10;

INSTANTIATE_TEST_SUITE_P(
    Settings, Qcow1Fault,
    ::testing::Values(Setting{.name = "default", .shape = {.size = kSize}},
                      Setting{.name = "small_tables", .shape = {.cluster_bits = 9, .l2_bits = 6, .size = kSize}},
                      Setting{.name = "compressed", .shape = {.size = kSize}, .compressed = true},
                      Setting{.name = "base",
                              .shape = {.cluster_bits = 9, .l2_bits = 6, .size = kSize, .backing = "b"},
                              .with_base = true},
                      Setting{.name = "xen_little_endian", .shape = {.size = kSize, .xen = true, .xen_flags = 1}},
                      Setting{.name = "xen_sparse", .shape = {.size = kSize}, .made_by_us = qcow1::Xen::Sparse},
                      Setting{
                          .name = "xen_preallocated", .shape = {.size = kSize}, .made_by_us = qcow1::Xen::Preallocated},
                      Setting{.name = "evicting",
                              .shape = {.cluster_bits = 9, .l2_bits = 6, .size = 1 << 20},
                              .cache = 16_KiB,
                              .stride = 7}),
    [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace flatimg
