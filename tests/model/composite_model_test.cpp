// Random operations on composite disks whose parts are of all sorts and begin and end within clusters, against plain
// bytes; then qemu-img judges the parts, and what a part does not show of its image is as it was.
//
// FLATIMG_SEED and FLATIMG_OPERATIONS choose other runs; the seed is printed with every failure.
#include <gtest/gtest.h>

#include <random>

#include "catalog/open.h"
#include "support/composite_builder.h"
#include "support/disk_model.h"
#include "support/figures.h"
#include "support/from_environment.h"
#include "support/matchers.h"
#include "support/process.h"
#include "support/temp_dir.h"
#include "view/disk.h"

namespace flatimg {
namespace {

using test::CompositeBuilder;
using test::DiskModel;
using test::from_environment;
using test::Succeeds;

constexpr std::uint64_t kWritable = 1;

struct PartShape {
  std::string name;
  std::string options;  // of qemu-img create; empty: raw
  std::uint64_t size = 0;
  std::uint64_t span = 0;
  std::uint64_t file_offset = 0;
  bool writable = true;
  std::string base = {};  // another image, made before

  [[nodiscard]] std::string format() const { return options.empty() ? "raw" : "qcow2"; }
};

// Borders at odd places; clusters that are cut at either side; a base that is shorter; a composite in the composite.
std::vector<PartShape> shapes() {
  return {{"header", "", 20480, 20480, 0, false},
          {"plain", "cluster_size=64k", 1 << 20, (1 << 20) - 5000, 0},
          {"rough", "", 400001, 300001, 77},
          {"small", "cluster_size=512", 200704, 150000, 1000},
          {"over", "cluster_size=4k", 1 << 20, 700000, 3000, true, "base"},
          {"fixed", "cluster_size=64k", 1 << 19, 1 << 19, 0, false},
          {"extended", "extended_l2=on,cluster_size=16k", 1 << 20, 600001, 12345},
          {"inner", "", 0, 250000, 500}};
}

class CompositeModel : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!test::has_program("qemu-img")) GTEST_SKIP() << "qemu-img is not installed";
    seed_ = from_environment("FLATIMG_SEED", 20261121);
    random_.seed(seed_);
    make_base();
    for (const PartShape& shape : shapes_) make_part(shape);
    make_disk();
  }

  [[nodiscard]] std::string path(const std::string& name) const { return dir_ / name; }
  static void must_run(const std::vector<std::string>& command) {
    const auto finished = test::run(command);
    ASSERT_EQ(finished.exit_code, 0) << command[0] << " " << command[1] << finished.output;
  }
  std::string write_raw(const std::string& name, std::uint64_t size) {
    const auto bytes = test::noise(size, random_());
    return dir_.write(name, test::text_of(bytes));
  }
  void make_base() {
    write_raw("base.raw", 500000);
    must_run({"qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", path("base.raw"), path("base")});
  }
  void make_inner() {
    write_raw("inner1", 100000);
    must_run({"qemu-img", "create", "-q", "-f", "qcow2", path("inner2"), "300k"});
    dir_.write("inner", CompositeBuilder()
                            .version(2)
                            .part({"inner1", 0, kWritable})
                            .part({"inner2", 100000, kWritable})
                            .length(300000)
                            .bytes());
  }
  void make_part(const PartShape& shape) {
    if (shape.name == "inner") return make_inner();
    if (shape.options.empty()) {
      write_raw(shape.name, shape.size);
    } else if (!shape.base.empty()) {
      must_run({"qemu-img", "create", "-q", "-f", "qcow2", "-o", shape.options, "-b", shape.base, "-F", "qcow2",
                path(shape.name), std::to_string(shape.size)});
    } else {
      write_raw("content", shape.size);
      must_run(
          {"qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", shape.options, path("content"), path(shape.name)});
    }
  }
  void make_disk() {
    CompositeBuilder disk;
    std::uint64_t at = 0;
    for (const PartShape& shape : shapes_) {
      disk.part({shape.name, at, shape.writable ? kWritable : 0, shape.file_offset});
      at += shape.span;
    }
    dir_.write("disk", disk.version(2).length(at).bytes());
  }

  // --- what the disk must show: read from the parts, each by itself ---
  std::vector<std::byte> part_content(const PartShape& shape) {
    const auto disk = open(shape.name, Access::ReadOnly);
    std::vector<std::byte> bytes(disk->size().value());
    EXPECT_THAT(disk->read(GuestOffset(0), bytes), Succeeds());
    EXPECT_THAT(disk->close(), Succeeds());
    return bytes;
  }
  void load_model() {
    std::vector<std::byte> all;
    for (const PartShape& shape : shapes_) {
      const auto bytes = part_content(shape);
      const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(shape.file_offset);
      all.insert(all.end(), begin, begin + static_cast<std::ptrdiff_t>(shape.span));
      hidden_.push_back(hidden_bytes(shape, bytes));
    }
    model_ = std::make_unique<DiskModel>(std::move(all));
  }
  static std::vector<std::byte> hidden_bytes(const PartShape& shape, std::vector<std::byte> bytes) {
    const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(shape.file_offset);
    bytes.erase(begin, begin + static_cast<std::ptrdiff_t>(shape.span));
    return bytes;
  }

  std::unique_ptr<Disk> open(const std::string& name, Access access) {
    catalog::OpenRequest request;
    request.path = path(name);
    request.access = access;
    request.cache_size = ByteCount(1 << 20);
    auto opened = catalog::open_image(request);
    EXPECT_THAT(opened, Succeeds());
    return std::make_unique<Disk>(std::move(opened->chain), DiskOptions{});
  }

  [[nodiscard]] bool may_write(GuestRange range) const {
    std::uint64_t at = 0;
    for (const PartShape& shape : shapes_) {
      const GuestRange part{GuestOffset(at), ByteCount(shape.span)};
      if (!shape.writable && part.overlaps(range)) return false;
      at += shape.span;
    }
    return true;
  }
  GuestRange random_range() {
    const std::uint64_t size = model_->size().value();
    const std::uint64_t begin = random_() % size;
    const std::uint64_t most = random_() % 8 == 0 ? 900000 : 20000;
    return {GuestOffset(begin), ByteCount(1 + random_() % std::min(most, size - begin))};
  }
  void compare(Disk& disk, GuestRange range) {
    std::vector<std::byte> bytes(range.length.value());
    ASSERT_THAT(disk.read(range.begin, bytes), Succeeds());
    ASSERT_TRUE(std::ranges::equal(bytes, model_->bytes(range))) << range.begin.value() << " " << range.length.value();
  }
  void change(Disk& disk) {
    const GuestRange range = random_range();
    const auto kind = random_() % 8;
    const auto data = test::noise(range.length.value(), random_());
    const auto outcome = kind < 4    ? disk.write(range.begin, data)
                         : kind == 4 ? disk.zero(range, Space::Keep)
                         : kind == 5 ? disk.allocate(range)
                                     : disk.zero(range, Space::Release);
    ASSERT_EQ(outcome.has_value(), may_write(range)) << (outcome ? "" : outcome.error().text);
    if (outcome && kind < 4) model_->write(range.begin, data);
    if (outcome && kind >= 4 && kind != 5) model_->zero(range);
  }
  void step(std::unique_ptr<Disk>& disk) {
    const auto what = random_() % 100;
    if (what < 55) return change(*disk);
    if (what < 95) return compare(*disk, random_range());
    if (what < 99) {
      ASSERT_THAT(disk->flush(), Succeeds());
      return;
    }
    ASSERT_THAT(disk->close(), Succeeds());
    disk.reset();
    disk = open("disk", Access::ReadWrite);
  }
  void expect_holes_are_zero(Disk& disk) {
    GuestOffset at;
    while (at.value() < disk.size().value()) {
      const auto data = disk.next_data(at);
      ASSERT_THAT(data, Succeeds());
      const GuestOffset end = data->value_or(GuestOffset(disk.size().value()));
      ASSERT_TRUE(is_zero(GuestRange::between(at, end))) << at.value();
      const auto hole = disk.next_hole(end);
      ASSERT_THAT(hole, Succeeds());
      ASSERT_TRUE(*hole > end || end.value() == disk.size().value());
      at = *hole;
    }
  }
  bool is_zero(GuestRange range) {
    return std::ranges::all_of(model_->bytes(range), [](std::byte byte) { return byte == std::byte{0}; });
  }
  void judge_parts() {
    for (std::size_t n = 0; n < shapes_.size(); ++n) {
      EXPECT_TRUE(hidden_bytes(shapes_[n], part_content(shapes_[n])) == hidden_[n]) << shapes_[n].name;
      if (shapes_[n].options.empty()) continue;
      const auto judged = test::run({"qemu-img", "check", "-q", path(shapes_[n].name)});
      EXPECT_EQ(judged.exit_code, 0) << shapes_[n].name << judged.output;
    }
    const auto judged = test::run({"qemu-img", "check", "-q", path("inner2")});
    EXPECT_EQ(judged.exit_code, 0) << judged.output;
  }

  test::TempDir dir_;
  const std::vector<PartShape> shapes_ = shapes();
  std::uint64_t seed_ = 0;
  std::mt19937_64 random_;
  std::unique_ptr<DiskModel> model_;
  std::vector<std::vector<std::byte>> hidden_;
};

TEST_F(CompositeModel, RandomOperationsShowWhatPlainBytesShow) {
  load_model();
  SCOPED_TRACE("FLATIMG_SEED=" + std::to_string(seed_));
  auto disk = open("disk", Access::ReadWrite);
  compare(*disk, {GuestOffset(0), model_->size()});
  const std::uint64_t operations = from_environment("FLATIMG_OPERATIONS", 3000);
  for (std::uint64_t n = 0; n < operations && !HasFailure(); ++n) step(disk);
  compare(*disk, {GuestOffset(0), model_->size()});
  expect_holes_are_zero(*disk);
  ASSERT_THAT(disk->close(), Succeeds());
  disk.reset();
  judge_parts();
  test::add_figure("operations against a model", operations);
}

// The same disk behind an overlay, which takes all changes.
TEST_F(CompositeModel, BehindAnOverlayItIsReadOnly) {
  load_model();
  const auto untouched = [&] {
    return test::run(
        {"sh", "-c", "cd " + dir_.path().string() + " && cat disk header plain rough small over | sha256sum"});
  };
  const std::string before = untouched().output;
  catalog::OpenRequest request;
  request.path = path("disk");
  request.overlay = path("overlay.qcow2");
  {
    auto opened = catalog::open_image(request);
    ASSERT_THAT(opened, Succeeds());
    Disk disk(std::move(opened->chain), DiskOptions{});
    compare(disk, {GuestOffset(0), model_->size()});
    for (int n = 0; n < 200; ++n) {
      const GuestRange range = random_range();
      const auto data = test::noise(range.length.value(), random_());
      ASSERT_THAT(disk.write(range.begin, data), Succeeds());
      model_->write(range.begin, data);
    }
    compare(disk, {GuestOffset(0), model_->size()});
    ASSERT_THAT(disk.close(), Succeeds());
  }
  EXPECT_EQ(untouched().output, before);
}

}  // namespace
}  // namespace flatimg
