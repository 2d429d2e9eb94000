// Random operations on qcow images (version 1) that QEMU or we have made, against plain bytes; then QEMU reads the
// image and our check judges its tables.
//
// FLATIMG_SEED and FLATIMG_OPERATIONS choose other runs; the seed is printed with every failure.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <random>

#include "catalog/check_image.h"
#include "catalog/create_image.h"
#include "catalog/open.h"
#include "support/disk_model.h"
#include "support/matchers.h"
#include "support/process.h"
#include "support/temp_dir.h"
#include "view/disk.h"

namespace flatimg {
namespace {

using test::DiskModel;
using test::Succeeds;

struct Layout {
  std::string name;
  std::string made_by;  // shell, in the directory with base.raw and start.raw; "" for `ours`
  std::uint64_t size = 3 << 20;
  std::vector<std::pair<std::string, std::string>> ours = {};  // options of our own create
  bool backing = false;                                        // ours: over base.raw
  bool encrypted = false;
};
void PrintTo(const Layout& layout, std::ostream* out) { *out << layout.name; }

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

class Qcow1Model : public ::testing::TestWithParam<Layout> {
 protected:
  void SetUp() override {
    if (!test::has_program("qemu-img")) GTEST_SKIP() << "qemu-img is not installed";
    seed_ = from_environment("FLATIMG_SEED", 20240817);
    random_.seed(seed_);
    write_random("start.raw", GetParam().size);
    write_random("base.raw", GetParam().size * 2 / 3 / 512 * 512);
    make_image();
    if (!HasFatalFailure()) load_model();
  }

  void must_run(const std::string& line) {
    const auto finished = test::run({"sh", "-c", "cd " + dir_.path().string() + " && " + line});
    ASSERT_EQ(finished.exit_code, 0) << line << "\n" << finished.output << "seed " << seed_;
  }

  // Runs of data, of one value (which compress) and of zeroes.
  void write_random(const std::string& name, std::uint64_t size) {
    std::string bytes(size, '\0');
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t run = std::min<std::size_t>(bytes.size() - at, 1 + random_() % 100000);
      const auto sort = random_() % 3;
      for (std::size_t n = 0; n < run; ++n) {
        bytes[at + n] = sort == 0 ? static_cast<char>(random_()) : sort == 1 ? static_cast<char>(run % 251) : '\0';
      }
      at += run;
    }
    dir_.write(name, bytes);
  }

  void make_image() {
    const Layout& layout = GetParam();
    if (!layout.made_by.empty()) return must_run(layout.made_by);
    catalog::CreateRequest request;
    request.path = dir_ / "image";
    request.format = "qcow";
    request.size = ByteCount(layout.size);
    request.options = layout.ours;
    if (layout.backing) request.backing = "base.raw";
    ASSERT_THAT(catalog::create_image(request), Succeeds());
  }

  // QEMU's reading, as a raw file.
  void convert_with_qemu(const std::string& raw) {
    const std::string secret = " --object secret,id=s,data=abc --image-opts driver=qcow,encrypt.key-secret=s,";
    must_run("qemu-img convert -O raw" +
             (GetParam().encrypted ? secret + "file.filename=image " : std::string(" -f qcow image ")) + raw);
  }

  void load_model() {
    convert_with_qemu("model.raw");
    const std::string text = test::contents_of(dir_ / "model.raw");
    const auto bytes = std::as_bytes(std::span(text));
    model_.emplace(std::vector<std::byte>(bytes.begin(), bytes.end()));
  }

  void open() {
    catalog::OpenRequest request;
    request.path = dir_ / "image";
    request.cache_size = ByteCount(random_() % 2 == 0 ? 64u << 20 : 64u << 10);
    request.passphrase = std::make_shared<const Secret>(Secret::copy(test::bytes_of("abc")));
    auto opened = catalog::open_image(request);
    ASSERT_THAT(opened, Succeeds());
    disk_ = std::make_unique<Disk>(std::move(opened->chain), DiskOptions{});
    ASSERT_TRUE(disk_->writable()) << disk_->traits().read_only_reason;
    ASSERT_EQ(disk_->size(), model_->size());
  }

  GuestRange random_range() {
    const std::uint64_t size = model_->size().value();
    std::uint64_t begin = random_() % size;
    std::uint64_t length = 1 + random_() % (std::uint64_t{1} << random_() % 21);
    if (random_() % 2 == 0) {  // what file systems do
      begin = begin / 4096 * 4096;
      length = (length + 4095) / 4096 * 4096;
    }
    if (random_() % 16 == 0) begin = size - std::min(size, length);  // the end is special
    return {GuestOffset(begin), ByteCount(std::min(length, size - begin))};
  }

  void write_something(GuestRange range) {
    std::vector<std::byte> data(range.length.value());
    const auto first = random_();
    for (std::size_t n = 0; n < data.size(); ++n) data[n] = static_cast<std::byte>((first + n / 512 + n % 7) & 0xff);
    ASSERT_THAT(disk_->write(range.begin, data), Succeeds());
    model_->write(range.begin, data);
  }

  void expect_equal(GuestRange range) {
    std::vector<std::byte> data(range.length.value());
    ASSERT_THAT(disk_->read(range.begin, data), Succeeds());
    const auto expected = model_->bytes(range);
    const auto difference = std::mismatch(data.begin(), data.end(), expected.begin());
    ASSERT_EQ(difference.first, data.end())
        << "first difference at guest byte "
        << range.begin.value() + static_cast<std::uint64_t>(difference.first - data.begin()) << ", seed " << seed_;
  }

  void expect_holes_read_zero() {
    std::uint64_t data_bytes = 0;
    for (GuestOffset at; at.value() < disk_->size().value();) {
      const auto data = disk_->next_data(at);
      ASSERT_THAT(data, Succeeds());
      const auto hole = model_->bytes(GuestRange::between(at, data->value_or(GuestOffset(disk_->size().value()))));
      ASSERT_TRUE(std::all_of(hole.begin(), hole.end(), [](std::byte b) { return b == std::byte{0}; }));
      if (!*data) break;
      const auto next = disk_->next_hole(**data);
      ASSERT_THAT(next, Succeeds());
      data_bytes += (*next - **data).value();
      at = *next;
    }
    EXPECT_EQ(disk_->data_bytes().value(), data_bytes) << "seed " << seed_;
  }

  void one_operation() {
    const GuestRange range = random_range();
    switch (random_() % 16) {
      case 0:
      case 1:
      case 2: {
        const Space space = random_() % 3 == 0 ? Space::Keep : Space::Release;
        ASSERT_THAT(disk_->zero(range, space), Succeeds());
        model_->zero(range);
        break;
      }
      case 3:
        ASSERT_THAT(disk_->allocate(range), Succeeds());
        break;
      case 4:
        ASSERT_THAT(disk_->flush(), Succeeds());
        break;
      case 5:
      case 6:
      case 7:
        expect_equal(range);
        break;
      case 8:
        (void)disk_->data_bytes();
        break;
      default:
        write_something(range);
    }
  }

  void judge() {
    const auto checked = catalog::check_image({dir_ / "image", std::nullopt, {}}, catalog::CheckDepth::Data, {});
    ASSERT_THAT(checked, Succeeds());
    EXPECT_EQ(checked->report.corruptions, 0u) << checked->report.sentences[0] << ", seed " << seed_;
    const auto all = model_->all();
    dir_.write("model.raw", {reinterpret_cast<const char*>(all.data()), all.size()});
    convert_with_qemu("after.raw");
    must_run("cmp model.raw after.raw");
  }

  test::TempDir dir_;
  std::uint64_t seed_ = 0;
  std::mt19937_64 random_;
  std::optional<DiskModel> model_;
  std::unique_ptr<Disk> disk_;
};

TEST_P(Qcow1Model, AgreesWithPlainBytesAndWithQemu) {
  const std::uint64_t operations = from_environment("FLATIMG_OPERATIONS", 300);
  for (int round = 0; round < 3; ++round) {
    open();
    if (HasFatalFailure()) return;
    for (std::uint64_t n = 0; n < operations && !HasFatalFailure(); ++n) one_operation();
    if (HasFatalFailure()) return;
    expect_equal({GuestOffset(0), model_->size()});
    expect_holes_read_zero();
    ASSERT_THAT(disk_->close(), Succeeds());
    disk_.reset();
    judge();
    if (HasFailure()) return;
  }
}

const std::string kSecret = " --object secret,id=s,data=abc -o encrypt.format=aes,encrypt.key-secret=s ";

INSTANTIATE_TEST_SUITE_P(
    Layouts, Qcow1Model,
    ::testing::Values(
        Layout{"empty", "qemu-img create -q -f qcow image 3M"},
        Layout{"odd_size", "qemu-img create -q -f qcow image $((3145728 + 1536))", (3 << 20) + 1536},
        Layout{"data", "qemu-img convert -f raw -O qcow start.raw image"},
        // QEMU 7.2 writes all of a compressed qcow and exits with 1 nevertheless.
        Layout{"compressed",
               "{ qemu-img convert -c -f raw -O qcow start.raw image || true; } && "
               "qemu-img compare -f raw -F qcow start.raw image"},
        Layout{"overlay", "qemu-img create -q -f qcow -b base.raw -F raw image 3M"},
        Layout{"overlay_of_overlays",
               "qemu-img create -q -f qcow -b base.raw -F raw one 3M && qemu-io -f qcow -c 'write -P 9 10000 70000' "
               "one && "
               "qemu-img create -q -f qcow -b one -F qcow two 3M && qemu-io -f qcow -c 'write -P 8 50000 90000' two && "
               "qemu-img create -q -f qcow -b two -F qcow image 3M"},
        Layout{"encrypted", "qemu-img create -q -f qcow" + kSecret + "image 3M", 3 << 20, {}, false, true},
        Layout{"encrypted_data",
               "qemu-img convert -f raw -O qcow" + kSecret + "start.raw image",
               3 << 20,
               {},
               false,
               true},
        Layout{"ours", "", 3 << 20}, Layout{"ours_overlay", "", 3 << 20, {}, true},
        Layout{"xen_sparse", "", 5 << 20, {{"xen", "sparse"}}},
        Layout{"xen_overlay", "", 3 << 20, {{"xen", "sparse"}}, true},
        Layout{"xen_preallocated", "", (5 << 20) + 512, {{"xen", "preallocated"}}}),
    [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace flatimg
