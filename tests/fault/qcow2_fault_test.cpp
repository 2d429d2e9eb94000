// qcow2 (and raw) while every call to the image, to its base and to its data file fails: fault_trial.h has the judge.
#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "base/endian.h"
#include "base/log.h"
#include "fault/fault_trial.h"
#include "qcow2/qcow2_image.h"
#include "raw/raw_image.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace flatimg {
namespace {

using test::Dresser;
using test::Files;
using test::MemoryFile;

struct Setting {
  std::string name;
  std::string options = "";
  std::uint64_t size = 1 << 20;
  bool compressed = false;
  bool snapshot = false;
  bool with_base = false;
  bool with_data_file = false;
  bool dirty = false;  // counters all wrong, the dirty bit and an unknown autoclear bit set
  bool raw = false;    // no qcow2 at all
  ByteCount cache = 1_MiB;
  std::uint64_t stride = 1;  // every so many calls are failed
};
void PrintTo(const Setting& setting, std::ostream* out) { *out << setting.name; }

// Of Files.
constexpr std::size_t kImage = 0;
constexpr std::size_t kBase = 1;
constexpr std::size_t kData = 2;

std::shared_ptr<MemoryFile> file_from(const std::string& path) {
  const std::string text = test::contents_of(path);
  return MemoryFile::containing(std::as_bytes(std::span(text)));
}

class Qcow2Fault : public ::testing::TestWithParam<Setting>, protected test::Subject {
 protected:
  void SetUp() override {
    if (!test::has_program("qemu-img")) GTEST_SKIP() << "qemu-img is not installed";
    configure_log(LogTarget::StandardError, LogLevel::Error);
    make_start();
  }

  [[nodiscard]] std::string command() const {
    const Setting& setting = GetParam();
    const std::string options = setting.options.empty() ? "" : " -o " + setting.options;
    std::string line = "cd '" + dir_.path().string() + "' && qemu-img ";
    line += setting.with_base ? "create -q -f qcow2" + options + " start.qcow2 " + std::to_string(setting.size)
                              : std::string("convert -f raw -O qcow2 ") + (setting.compressed ? "-c" : "") + options +
                                    " start.raw start.qcow2";
    return line + (setting.snapshot ? " && qemu-img snapshot -c one start.qcow2" : "");
  }

  void make_start() {
    const Setting& setting = GetParam();
    start_ = test::some_sectors(setting.size / test::kSector);
    const auto bytes = test::bytes_of_sectors(start_);
    dir_.write("start.raw", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    const auto made = test::run({"sh", "-c", command()});
    ASSERT_EQ(made.exit_code, 0) << made.output;
    files_.resize(3);
    files_[kImage] = file_from(dir_ / (setting.raw ? "start.raw" : "start.qcow2"));
    if (setting.dirty) make_dirty(*files_[kImage]);
    if (setting.with_base) files_[kBase] = file_from(dir_ / "start.raw");
    if (setting.with_data_file) files_[kData] = file_from(dir_ / "data.raw");
  }

  static void make_dirty(MemoryFile& file) {
    std::array<std::byte, 8> entry{};
    const auto header = qcow2::read_header(file);
    ASSERT_TRUE(header && file.read(header->refcount_table, entry));
    const HostOffset block(load_be<std::uint64_t>(entry, 0));
    ASSERT_TRUE(file.zero({block, header->cluster()}, Space::Keep));
    store_be(std::span(entry), 0, qcow2::incompatible::kDirty);
    ASSERT_TRUE(file.write(qcow2::field::kIncompatible, std::span<const std::byte>(entry)));
    store_be(std::span(entry), 0, std::uint64_t{1} << 5);
    ASSERT_TRUE(file.write(qcow2::field::kAutoclear, std::span<const std::byte>(entry)));
  }

  [[nodiscard]] const Files& files() const override { return files_; }
  [[nodiscard]] const std::vector<std::byte>& sectors() const override { return start_; }
  [[nodiscard]] bool opening_writes() const override { return GetParam().dirty; }

  Result<std::unique_ptr<Disk>> open(Dresser& files) override {
    std::unique_ptr<Image> base;
    if (GetParam().with_base) {
      TRY(base, raw::RawImage::open(files.dressed(kBase), nullptr));
    }
    const auto memory = new_barrier_memory();
    auto file = files.dressed(kImage, memory);
    if (GetParam().raw) {
      TRY(auto image, raw::RawImage::open(std::move(file), nullptr));
      return test::disk_of(std::move(image));
    }
    TRY(qcow2::Header header, qcow2::read_header(*file));
    qcow2::OpenOptions options;
    options.writable = true;
    options.flush_interval = std::chrono::milliseconds(0);
    options.cache_size = GetParam().cache;
    TRY(auto image,
        qcow2::Qcow2Image::open(std::move(file), std::move(header), files.dressed(kData, memory), base.get(), options));
    return test::disk_of(std::move(image), std::move(base));
  }

  // An image that is still marked dirty need not have right counters yet.
  void expect_no_errors(const Files& files, test::Leaks leaks) override {
    if (GetParam().raw) return;
    const auto header = qcow2::read_header(*files[kImage]);
    ASSERT_TRUE(header) << header.error().text;
    if (header->has(qcow2::incompatible::kDirty)) return;
    test::expect_no_errors(*files[kImage], leaks);
  }

  test::TempDir dir_;
  Files files_;
  std::vector<std::byte> start_;
};

TEST_P(Qcow2Fault, IsReportedHonestlyAndDoesNoHarm) { test::fail_every_call(*this, GetParam().stride); }

INSTANTIATE_TEST_SUITE_P(
    Settings, Qcow2Fault,
    ::testing::Values(
        Setting{.name = "default"}, Setting{.name = "clusters_512", .options = "cluster_size=512", .size = 256 << 10},
        Setting{.name = "refcount_64", .options = "cluster_size=512,refcount_bits=64", .size = 256 << 10},
        Setting{.name = "v2", .options = "compat=0.10,cluster_size=4k"},
        Setting{.name = "extended", .options = "extended_l2=on,cluster_size=16k"},
        Setting{.name = "extended_base", .options = "extended_l2=on,cluster_size=16k", .with_base = true},
        Setting{.name = "compressed", .options = "cluster_size=16k", .compressed = true},
        Setting{.name = "snapshot", .options = "cluster_size=4k", .snapshot = true},
        Setting{.name = "evicting",
                .options = "cluster_size=512,refcount_bits=64",
                .size = 4 << 20,
                .snapshot = true,
                .cache = 64_KiB,
                .stride = 41},
        Setting{.name = "base", .options = "cluster_size=16k", .with_base = true},
        Setting{.name = "v2_base", .options = "compat=0.10,cluster_size=16k", .with_base = true},
        Setting{.name = "dirty", .options = "cluster_size=4k,lazy_refcounts=on", .size = 512 << 10, .dirty = true},
        Setting{.name = "raw", .raw = true},
        Setting{.name = "data_file", .options = "cluster_size=16k,data_file=data.raw", .with_data_file = true}),
    [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace flatimg
