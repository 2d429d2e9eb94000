// Power cuts on composite disks: an fsync of the disk covers every part that was written, whichever of their files the
// host wrote first. Each part is judged by itself, because nothing orders the writes to two files.
//
// FLATIMG_SEED chooses another workload.
#include <gtest/gtest.h>

#include "composite/composite_image.h"
#include "crash/crash_states.h"
#include "qcow2/create.h"
#include "qcow2/qcow2_image.h"
#include "support/from_environment.h"
#include "support/image_oracle.h"
#include "support/matchers.h"
#include "view/disk.h"

namespace flatimg {
namespace {

using test::CrashState;
using test::MemoryFile;
using test::Operation;
using test::Succeeds;

constexpr std::uint64_t kSector = 512;
constexpr std::uint64_t kPartSectors = 400;  // ends within a cluster
constexpr std::size_t kParts = 3;

std::unique_ptr<MemoryFile> empty_qcow2() {
  auto file = std::make_unique<MemoryFile>();
  qcow2::CreateOptions options;
  options.size = ByteCount(kPartSectors * kSector + 4096);
  options.cluster_size = ByteCount(4096);
  EXPECT_THAT(qcow2::create(*file, nullptr, options), Succeeds());
  return file;
}

std::unique_ptr<Image> open_part(std::unique_ptr<HostFile> file) {
  auto header = qcow2::read_header(*file);
  EXPECT_THAT(header, Succeeds());
  qcow2::OpenOptions options;
  options.writable = true;
  options.flush_interval = std::chrono::milliseconds(0);
  options.cache_size = 1_MiB;
  auto image = qcow2::Qcow2Image::open(std::move(file), *header, nullptr, nullptr, options);
  EXPECT_THAT(image, Succeeds());
  return *std::move(image);
}

std::unique_ptr<Disk> disk_of(std::unique_ptr<Image> image) {
  std::vector<std::unique_ptr<Image>> chain;
  chain.push_back(std::move(image));
  return std::make_unique<Disk>(std::move(chain), DiskOptions{});
}

// What one file was asked to do, as if there were no other.
std::vector<Operation> of_file(const std::vector<Operation>& all, unsigned file) {
  std::vector<Operation> own;
  for (const Operation& operation : all) {
    if (operation.file != file) continue;
    own.push_back(operation);
    own.back().file = 0;
  }
  return own;
}

// The values that the sectors of a part had at a flush, and how many operations its file had seen by then.
struct Flushed {
  std::array<std::size_t, kParts> recorded{};
  std::vector<std::byte> values;
};

class CompositeCrash : public ::testing::Test {
 protected:
  void SetUp() override {
    std::vector<composite::OpenPart> parts;
    for (std::size_t n = 0; n < kParts; ++n) {
      starts_.push_back(empty_qcow2());
      const ByteCount length(kPartSectors * kSector);
      composite::OpenPart part{
          {"part", {GuestOffset(0) + length * n, length}, ByteCount(1024), composite::kReadWrite}, "part", {}};
      part.chain.push_back(open_part(std::make_unique<test::RecordingFile>(starts_[n]->copy(), recording_)));
      parts.push_back(std::move(part));
    }
    auto image = composite::CompositeImage::open(std::make_unique<MemoryFile>(),
                                                 ByteCount(kParts * kPartSectors * kSector), std::move(parts));
    ASSERT_THAT(image, Succeeds());
    disk_ = disk_of(*std::move(image));
    values_.assign(kParts * kPartSectors, std::byte{0});
    note_flush();
  }

  // Each write has a value of its own: 0 to 255 in the order of the writes.
  void write(std::mt19937_64& random, std::byte value) {
    const std::size_t first = random() % values_.size();
    const std::size_t count = std::min<std::size_t>(values_.size() - first, 1 + random() % 150);
    ASSERT_THAT(disk_->write(GuestOffset(first * kSector), std::vector<std::byte>(count * kSector, value)), Succeeds());
    std::fill_n(values_.begin() + static_cast<std::ptrdiff_t>(first), count, value);
  }
  void note_flush() {
    Flushed flushed;
    const auto operations = recording_->operations();
    for (unsigned n = 0; n < kParts; ++n) flushed.recorded[n] = of_file(operations, n).size();
    flushed.values = values_;
    flushes_.push_back(std::move(flushed));
  }

  // Values only rise, so a sector holds at least what the last flush that is covered says, and at most the last value
  // of all.
  void judge(CrashState state, std::size_t part) {
    ++states_;
    test::expect_no_errors(state.file(), test::Leaks::MayBe);
    const Flushed* last = &flushes_.front();
    for (const Flushed& flushed : flushes_) {
      if (flushed.recorded[part] <= state.covered) last = &flushed;
    }
    const auto disk = disk_of(open_part(std::move(state.files.front())));
    std::vector<std::byte> content(kPartSectors * kSector);
    ASSERT_THAT(disk->read(GuestOffset(1024), content), Succeeds());
    for (std::size_t n = 0; n < kPartSectors; ++n) {
      const std::size_t sector = part * kPartSectors + n;
      const std::byte value = content[n * kSector];
      ASSERT_TRUE(value >= last->values[sector] && value <= values_[sector])
          << "part " << part << " sector " << n << " covered " << state.covered;
    }
  }

  std::shared_ptr<test::Recording> recording_ = std::make_shared<test::Recording>();
  std::vector<std::unique_ptr<MemoryFile>> starts_;
  std::unique_ptr<Disk> disk_;
  std::vector<std::byte> values_;
  std::vector<Flushed> flushes_;
  std::size_t states_ = 0;
};

TEST_F(CompositeCrash, KeepsWhatAFlushOfTheDiskCoveredInEveryPart) {
  std::mt19937_64 random(test::from_environment("FLATIMG_SEED", 5));
  for (int n = 1; n <= 60; ++n) {
    write(random, static_cast<std::byte>(n));
    if (n % 6 != 0) continue;
    ASSERT_THAT(disk_->flush(), Succeeds());
    note_flush();
  }
  ASSERT_THAT(disk_->close(), Succeeds());
  disk_.reset();
  const auto operations = recording_->operations();
  for (unsigned part = 0; part < kParts; ++part) {
    test::for_each_crash_state({starts_[part].get()}, of_file(operations, part), {}, random, [&](CrashState state) {
      judge(std::move(state), part);
      return !HasFailure();
    });
  }
  EXPECT_GT(states_, 100u);
}

}  // namespace
}  // namespace flatimg
