// A composite disk while the calls to one of its parts fail, to each of them in turn: fault_trial.h has the judge. The
// parts are a raw image, a qcow2 and a qcow; they end within clusters, and begin within their images.
#include <gtest/gtest.h>

#include "base/log.h"
#include "composite/composite_image.h"
#include "fault/fault_trial.h"
#include "qcow1/check.h"
#include "qcow1/create.h"
#include "qcow1/header.h"
#include "qcow1/qcow1_image.h"
#include "qcow2/create.h"
#include "qcow2/qcow2_image.h"
#include "raw/raw_image.h"
#include "support/matchers.h"

namespace flatimg {
namespace {

using test::Dresser;
using test::Files;
using test::MemoryFile;
using test::Succeeds;

// Of Files, in the order of the disk.
constexpr std::size_t kRaw = 0;
constexpr std::size_t kQcow2 = 1;
constexpr std::size_t kQcow1 = 2;
constexpr std::size_t kParts = 3;

constexpr ByteCount kPart{301 * test::kSector};
constexpr ByteCount kInFront{1024};  // of a part, in its image
constexpr ByteCount kImageSize = kPart + kInFront + 4096_B;

std::shared_ptr<MemoryFile> empty_qcow2() {
  auto file = std::make_shared<MemoryFile>();
  qcow2::CreateOptions options;
  options.size = kImageSize;
  options.cluster_size = 4096_B;
  EXPECT_THAT(qcow2::create(*file, nullptr, options), Succeeds());
  return file;
}

std::shared_ptr<MemoryFile> empty_qcow1() {
  auto file = std::make_shared<MemoryFile>();
  EXPECT_THAT(qcow1::create(*file, {.size = kImageSize}), Succeeds());
  return file;
}

std::shared_ptr<MemoryFile> empty_raw() {
  auto file = std::make_shared<MemoryFile>();
  EXPECT_THAT(file->resize(kImageSize), Succeeds());
  return file;
}

template <class Options>
Options writable() {
  Options options;
  options.writable = true;
  options.flush_interval = std::chrono::milliseconds(0);
  options.cache_size = 1_MiB;
  return options;
}

Result<std::unique_ptr<Image>> open_image(std::size_t part, std::unique_ptr<HostFile> file) {
  if (part == kRaw) {
    TRY(auto image, raw::RawImage::open(std::move(file), nullptr));
    return image;
  }
  if (part == kQcow2) {
    TRY(qcow2::Header header, qcow2::read_header(*file));
    TRY(auto image,
        qcow2::Qcow2Image::open(std::move(file), std::move(header), nullptr, nullptr, writable<qcow2::OpenOptions>()));
    return image;
  }
  TRY(qcow1::Header header, qcow1::read_header(*file));
  TRY(auto image, qcow1::Qcow1Image::open(std::move(file), std::move(header), nullptr, writable<qcow1::OpenOptions>()));
  return image;
}

class CompositeFault : public ::testing::Test, protected test::Subject {
 protected:
  void SetUp() override {
    configure_log(LogTarget::StandardError, LogLevel::Error);
    files_ = {empty_raw(), empty_qcow2(), empty_qcow1()};
    start_ = test::some_sectors(kParts * kPart.value() / test::kSector);
    auto disk = test::open_sound(*this, files_);
    ASSERT_THAT(disk, Succeeds());
    ASSERT_THAT((*disk)->write(GuestOffset(0), test::bytes_of_sectors(start_)), Succeeds());
    ASSERT_THAT((*disk)->close(), Succeeds());
  }

  [[nodiscard]] const Files& files() const override { return files_; }
  [[nodiscard]] const std::vector<std::byte>& sectors() const override { return start_; }

  // The files of all parts fail together, as the catalog has it.
  Result<std::unique_ptr<Disk>> open(Dresser& files) override {
    const auto memory = new_barrier_memory();
    std::vector<composite::OpenPart> parts;
    for (std::size_t n = 0; n < kParts; ++n) {
      TRY(auto image, open_image(n, files.dressed(n, memory)));
      composite::OpenPart part{
          {"part", {GuestOffset(0) + kPart * n, kPart}, kInFront, composite::kReadWrite}, "part", {}};
      part.chain.push_back(std::move(image));
      parts.push_back(std::move(part));
    }
    TRY(auto image, composite::CompositeImage::open(std::make_unique<MemoryFile>(), kPart * kParts, std::move(parts)));
    return test::disk_of(std::move(image));
  }

  void expect_no_errors(const Files& files, test::Leaks leaks) override {
    test::expect_no_errors(*files[kQcow2], leaks);
    const auto header = qcow1::read_header(*files[kQcow1]);
    ASSERT_THAT(header, Succeeds());
    const auto report = qcow1::check(*files[kQcow1], *header);
    ASSERT_THAT(report, Succeeds());
    EXPECT_EQ(report->check_errors + report->corruptions, 0u);
  }

  Files files_;
  std::vector<std::byte> start_;
};

TEST_F(CompositeFault, IsReportedHonestlyAndDoesNoHarm) { test::fail_every_call(*this); }

}  // namespace
}  // namespace flatimg
