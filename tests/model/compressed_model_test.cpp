// Compressed writes among plain ones, zeroes, snapshots and closings, against plain bytes; counters and data are judged
// each time the image has been closed, and at the end by QEMU.
//
// FLATIMG_SEED and FLATIMG_OPERATIONS choose other runs; the seed is printed with every failure.
#include <gtest/gtest.h>

#include <random>

#include "qcow1/create.h"
#include "qcow1/qcow1_image.h"
#include "qcow2/create.h"
#include "support/disk_model.h"
#include "support/forwarding_file.h"
#include "support/figures.h"
#include "support/from_environment.h"
#include "support/image_oracle.h"
#include "support/matchers.h"
#include "support/memory_file.h"
#include "support/process.h"
#include "support/temp_dir.h"
#include "view/disk.h"

namespace flatimg {
namespace {

using test::from_environment;
using test::MemoryFile;
using test::Succeeds;

constexpr ByteCount kSize{(3u << 20) + 1536};  // ends within a cluster

struct Layout {
  std::string name;
  bool version1 = false;
  ByteCount cluster{65536};
  std::uint64_t refcount_bits = 16;
  qcow2::Compression compression = qcow2::Compression::Deflate;
  bool extended = false;
  ByteCount cache = 1_MiB;
  std::uint64_t operations = 1500;
};
void PrintTo(const Layout& layout, std::ostream* out) { *out << layout.name; }

class CompressedModel : public ::testing::TestWithParam<Layout> {
 protected:
  void SetUp() override {
    RecordProperty("seed", std::to_string(seed_));
    ASSERT_THAT(create(), Succeeds());
    open();
  }

  Result<void> create() {
    const Layout& layout = GetParam();
    if (layout.version1) return qcow1::create(*file_, {.size = kSize});
    qcow2::CreateOptions options;
    options.size = kSize;
    options.cluster_size = layout.cluster;
    options.refcount_bits = layout.refcount_bits;
    options.compression = layout.compression;
    options.extended_l2 = layout.extended;
    return qcow2::create(*file_, nullptr, options);
  }

  Result<std::unique_ptr<Image>> open_image() {
    if (GetParam().version1) {
      TRY(qcow1::Header header, qcow1::read_header(*file_));
      qcow1::OpenOptions options{.writable = true, .cache_size = GetParam().cache};
      TRY(std::unique_ptr<Image> image,
          qcow1::Qcow1Image::open(std::make_unique<test::ForwardingFile>(file_), std::move(header), nullptr, options));
      return image;
    }
    TRY(qcow2::Header header, qcow2::read_header(*file_));
    qcow2::OpenOptions options{.writable = true, .snapshot = std::nullopt, .cache_size = GetParam().cache};
    TRY(std::unique_ptr<Image> image, qcow2::Qcow2Image::open(std::make_unique<test::ForwardingFile>(file_),
                                                              std::move(header), nullptr, nullptr, std::move(options)));
    return image;
  }

  void open() {
    auto image = open_image();
    ASSERT_THAT(image, Succeeds());
    std::vector<std::unique_ptr<Image>> chain;
    chain.push_back(*std::move(image));
    disk_ = std::make_unique<Disk>(std::move(chain), DiskOptions{});
  }

  /// A unit with some text, so that it gets shorter, or with noise.
  std::vector<std::byte> some_bytes(std::size_t count) {
    std::vector<std::byte> bytes(count, static_cast<std::byte>(random_() % 7));
    const std::size_t noisy = random_() % 4 == 0 ? count : random_() % (count / 2 + 1);
    for (std::size_t n = 0; n < noisy; ++n) bytes[n] = static_cast<std::byte>(random_());
    return bytes;
  }

  void write_encoded() {
    const std::size_t unit = disk_->traits().unit.value();
    const GuestOffset at(random_() % (kSize.value() / unit + 1) * unit);
    if (at.value() >= kSize.value()) return;
    auto bytes = some_bytes(unit);
    const std::size_t visible = std::min<std::size_t>(unit, kSize.value() - at.value());
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(visible), bytes.end(), std::byte{0});
    const auto encoded = disk_->top().encode(bytes);
    ASSERT_THAT(encoded, Succeeds());
    if (encoded->empty()) return;
    ASSERT_THAT(disk_->write_encoded(at, *encoded), Succeeds());
    model_.write(at, std::span(bytes).first(visible));
  }

  GuestRange some_range() {
    const std::uint64_t begin = random_() % kSize.value();
    return {GuestOffset(begin), ByteCount(std::min(kSize.value() - begin, 1 + random_() % 200000))};
  }
  void write_plain() {
    const GuestRange range = some_range();
    const auto bytes = some_bytes(range.length.value());
    ASSERT_THAT(disk_->write(range.begin, bytes), Succeeds());
    model_.write(range.begin, bytes);
  }
  void zero() {
    const GuestRange range = some_range();
    ASSERT_THAT(disk_->zero(range, random_() % 2 == 0 ? Space::Release : Space::Keep), Succeeds());
    model_.zero(range);
  }
  void read() {
    const GuestRange range = some_range();
    std::vector<std::byte> bytes(range.length.value());
    ASSERT_THAT(disk_->read(range.begin, bytes), Succeeds());
    ASSERT_TRUE(std::ranges::equal(bytes, model_.bytes(range)));
  }
  void flush() { ASSERT_THAT(disk_->flush(), Succeeds()); }
  void snapshot() {
    if (GetParam().version1 || GetParam().refcount_bits == 1 || snapshots_ == 3) return;
    auto taken = disk_->create_snapshot(snapshot_now("s" + std::to_string(snapshots_)));
    if (!taken && taken.error().kind == ErrorKind::Limit) return;  // counters of two bits are full
    ASSERT_THAT(taken, Succeeds());
    ++snapshots_;
  }
  void close_and_judge() {
    ASSERT_THAT(disk_->close(), Succeeds());
    disk_.reset();
    if (!GetParam().version1) test::expect_no_errors(*file_, test::Leaks::AreErrors);
  }

  void judge_with_qemu() {
    if (!test::has_program("qemu-img")) return;
    const auto save = [&](const std::string& name, std::span<const std::byte> bytes) {
      dir_.write(name, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    };
    save("image", file_->contents());
    save("model", model_.all());
    const std::string format = GetParam().version1 ? "qcow" : "qcow2";
    const auto compared = test::run({"qemu-img", "compare", "-f", format, "-F", "raw", dir_ / "image", dir_ / "model"});
    EXPECT_EQ(compared.exit_code, 0) << compared.output;
    if (GetParam().version1) return;
    const auto checked = test::run({"qemu-img", "check", "-f", format, dir_ / "image"});
    EXPECT_EQ(checked.exit_code, 0) << checked.output;
  }

  void operate() {
    switch (random_() % 16) {
      case 0:
        return zero();
      case 1:
      case 2:
        return write_plain();
      case 3:
        return read();
      case 4:
        return flush();
      case 5:
        return random_() % 6 == 0 ? snapshot() : read();
      default:
        return write_encoded();
    }
  }

  const std::uint64_t seed_ = from_environment("FLATIMG_SEED", 20261121);
  std::mt19937_64 random_{seed_};
  std::shared_ptr<MemoryFile> file_ = std::make_shared<MemoryFile>();
  std::unique_ptr<Disk> disk_;
  test::DiskModel model_{std::vector<std::byte>(kSize.value())};
  unsigned snapshots_ = 0;
  test::TempDir dir_;
};

TEST_P(CompressedModel, KeepsEveryByteAndEveryCounter) {
  const std::uint64_t operations = from_environment("FLATIMG_OPERATIONS", GetParam().operations);
  for (std::uint64_t n = 0; n < operations && !HasFatalFailure(); ++n) {
    SCOPED_TRACE("operation " + std::to_string(n) + ", seed " + std::to_string(seed_));
    operate();
    if (n % 50 != 49 || HasFatalFailure()) continue;
    close_and_judge();
    if (!HasFatalFailure()) open();
  }
  ASSERT_FALSE(HasFatalFailure());
  std::vector<std::byte> all(kSize.value());
  ASSERT_THAT(disk_->read(GuestOffset(0), all), Succeeds());
  EXPECT_TRUE(std::ranges::equal(all, model_.all()));
  close_and_judge();
  judge_with_qemu();
  test::add_figure("operations against a model", operations);
}

INSTANTIATE_TEST_SUITE_P(
    Layouts, CompressedModel,
    ::testing::Values(Layout{.name = "usual"}, Layout{.name = "small", .cluster = 512_B, .cache = 64_KiB},
                      Layout{.name = "zstd", .cluster = 4_KiB, .compression = qcow2::Compression::Zstd},
                      Layout{.name = "large", .cluster = 2_MiB, .operations = 60},
                      Layout{.name = "one_bit", .refcount_bits = 1},
                      Layout{.name = "two_bits", .cluster = 4_KiB, .refcount_bits = 2},
                      Layout{.name = "wide", .cluster = 1_KiB, .refcount_bits = 64},
                      Layout{.name = "extended", .cluster = 16_KiB, .extended = true},
                      Layout{.name = "version1", .version1 = true}),
    [](const auto& layout) { return layout.param.name; });

}  // namespace
}  // namespace flatimg
