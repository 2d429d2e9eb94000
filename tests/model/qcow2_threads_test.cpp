// Several threads on one disk: each owns a private region, where it does everything, and every n-th sector of a shared
// region, where clusters are allocated under the hands of others. What a thread wrote must come back, whatever the
// others did meanwhile.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>

#include "qcow2/qcow2_image.h"
#include "support/dawdling_file.h"
#include "support/disk_model.h"
#include "support/figures.h"
#include "support/from_environment.h"
#include "support/matchers.h"
#include "support/memory_file.h"
#include "support/process.h"
#include "support/temp_dir.h"
#include "view/disk.h"

namespace flatimg {
namespace {

using test::MemoryFile;

constexpr unsigned kThreads = 8;
constexpr std::uint64_t kPrivate = 1 << 20;
constexpr std::uint64_t kShared = 4 << 20;
constexpr std::uint64_t kSector = 512;
constexpr int kOperations = 1000;  // of a thread, between two looks at everything

class Worker {
 public:
  Worker(Disk& disk, unsigned number, std::uint64_t seed)
      : disk_(disk),
        number_(number),
        begin_(kShared + number * kPrivate),
        random_(seed * 31 + number),
        private_(std::vector<std::byte>(kPrivate)),
        sectors_(kShared / kSector / kThreads) {}

  void work(int operations) {
    for (int n = 0; n < operations && !failed_; ++n) {
      random_() % 2 == 0 ? shared_operation() : private_operation();
    }
  }

  void verify() {
    std::vector<std::byte> data(kPrivate);
    ASSERT_TRUE(disk_.read(GuestOffset(begin_), data));
    EXPECT_TRUE(std::equal(data.begin(), data.end(), private_.all().begin())) << "private region of " << number_;
    for (std::size_t n = 0; n < sectors_.size(); ++n) expect_sector(n);
  }

 private:
  GuestOffset sector_at(std::size_t nth) const { return GuestOffset((nth * kThreads + number_) * kSector); }

  void expect_sector(std::size_t nth) {
    std::vector<std::byte> data(kSector);
    ASSERT_TRUE(disk_.read(sector_at(nth), data));
    const bool right = std::all_of(data.begin(), data.end(), [&](std::byte b) { return b == sectors_[nth]; });
    EXPECT_TRUE(right) << "sector " << sector_at(nth).value() / kSector;
    failed_ |= !right;
  }

  void shared_operation() {
    const std::size_t nth = random_() % sectors_.size();
    const auto sort = random_() % 8;
    if (sort < 5) {
      sectors_[nth] = static_cast<std::byte>(random_());
      EXPECT_TRUE(disk_.write(sector_at(nth), std::vector<std::byte>(kSector, sectors_[nth])));
    } else if (sort == 5) {
      sectors_[nth] = std::byte{0};
      EXPECT_TRUE(disk_.zero({sector_at(nth), ByteCount(kSector)}, Space::Release));
    } else {
      expect_sector(nth);
    }
  }

  void private_operation() {
    const std::uint64_t at = random_() % kPrivate;
    const std::uint64_t length = std::min<std::uint64_t>(kPrivate - at, 1 + random_() % 200000);
    const GuestRange range{GuestOffset(at), ByteCount(length)};
    const GuestRange on_disk{GuestOffset(begin_ + at), range.length};
    switch (random_() % 8) {
      case 0:
      case 1:
        EXPECT_TRUE(disk_.zero(on_disk, random_() % 2 == 0 ? Space::Release : Space::Keep));
        private_.zero(range);
        break;
      case 2:
        EXPECT_TRUE(disk_.flush());
        break;
      case 3: {
        std::vector<std::byte> data(length);
        EXPECT_TRUE(disk_.read(on_disk.begin, data));
        const auto expected = private_.bytes(range);
        failed_ |= !std::equal(data.begin(), data.end(), expected.begin());
        EXPECT_FALSE(failed_);
        break;
      }
      case 4:
        (void)disk_.data_bytes();
        break;
      default: {
        const std::vector<std::byte> data(length, static_cast<std::byte>(random_()));
        EXPECT_TRUE(disk_.write(on_disk.begin, data));
        private_.write(range.begin, data);
      }
    }
  }

  Disk& disk_;
  unsigned number_;
  std::uint64_t begin_;
  std::mt19937_64 random_;
  test::DiskModel private_;
  std::vector<std::byte> sectors_;
  bool failed_ = false;
};

void run_threads(std::vector<std::unique_ptr<Image>> chain, std::uint64_t seed) {
  Disk disk(std::move(chain), {});
  std::vector<std::unique_ptr<Worker>> workers;
  for (unsigned n = 0; n < kThreads; ++n) workers.push_back(std::make_unique<Worker>(disk, n, seed));
  for (int round = 0; round < 2; ++round) {
    std::vector<std::thread> threads;
    for (auto& worker : workers) threads.emplace_back([&worker] { worker->work(kOperations); });
    for (auto& thread : threads) thread.join();
    for (auto& worker : workers) worker->verify();
  }
  const auto closed = disk.close();
  EXPECT_TRUE(closed) << closed.error().text;
}

Result<std::unique_ptr<qcow2::Qcow2Image>> open_dawdling(const std::shared_ptr<MemoryFile>& file) {
  TRY(qcow2::Header header, qcow2::read_header(*file));
  qcow2::OpenOptions options;
  options.writable = true;
  options.cache_size = 64_KiB;  // pages come and go
  options.flush_interval = std::chrono::milliseconds(1);
  auto dawdling = std::make_unique<test::DawdlingFile>(file);
  return qcow2::Qcow2Image::open(std::move(dawdling), std::move(header), nullptr, nullptr, options);
}

class Qcow2Threads : public ::testing::TestWithParam<std::string> {};

TEST_P(Qcow2Threads, EachSeesItsOwnWrites) {
  if (!test::has_program("qemu-img")) GTEST_SKIP() << "qemu-img is not installed";
  const std::uint64_t seed = test::from_environment("FLATIMG_SEED", 7);
  SCOPED_TRACE(seed);
  test::TempDir dir;
  const std::string image = dir / "image.qcow2";
  const auto made = test::run({"qemu-img", "create", "-q", "-f", "qcow2", "-o", GetParam(), image,
                               std::to_string(kShared + kThreads * kPrivate)});
  ASSERT_EQ(made.exit_code, 0) << made.output;
  const std::string contents = test::contents_of(image);
  const std::shared_ptr<MemoryFile> file = MemoryFile::containing(test::bytes_of(contents));
  auto opened = open_dawdling(file);
  ASSERT_TRUE(opened) << opened.error().text;
  std::vector<std::unique_ptr<Image>> chain;
  chain.push_back(*std::move(opened));
  run_threads(std::move(chain), seed);
  const auto bytes = file->contents();
  dir.write("image.qcow2", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  const auto check = test::run({"qemu-img", "check", image});
  EXPECT_EQ(check.exit_code, 0) << check.output;
  test::add_figure("operations of eight threads at once", 2 * kThreads * kOperations);
}

INSTANTIATE_TEST_SUITE_P(Layouts, Qcow2Threads,
                         ::testing::Values("cluster_size=64k", "cluster_size=512", "cluster_size=4k,refcount_bits=1",
                                           "extended_l2=on", "compat=0.10", "cluster_size=2M"));

}  // namespace
}  // namespace flatimg
