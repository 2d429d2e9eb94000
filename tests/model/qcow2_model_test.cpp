// Random operations on images that qemu-img made, against plain bytes; then QEMU judges the image.
//
// FLATIMG_SEED and FLATIMG_OPERATIONS choose other runs; the seed is printed with every failure.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "catalog/open.h"
#include "support/disk_model.h"
#include "support/matchers.h"
#include "support/process.h"
#include "support/temp_dir.h"
#include "view/disk.h"

namespace flatimg {
namespace {

using test::DiskModel;

test::Finished shell(const std::string& line) { return test::run({"sh", "-c", line}); }

// On a busy machine qemu-img may fail to measure its own speed, which it does to make a LUKS header.
void must_run(const std::string& line) {
  auto finished = shell(line);
  for (int n = 0; n < 50 && finished.output.find("accurate CPU usage") != std::string::npos; ++n)
    finished = shell(line);
  ASSERT_EQ(finished.exit_code, 0) << line << "\n" << finished.output;
}

struct Layout {
  std::string name;
  std::string options;           // of qemu-img create -o
  std::uint64_t size = 3 << 20;  // bytes
  enum class Start { Empty, Data, Compressed, Overlay, OverlayShort, OverlayLong, Snapshot } start = Start::Empty;
};

void PrintTo(const Layout& layout, std::ostream* out) { *out << layout.name; }

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

class Qcow2Model : public ::testing::TestWithParam<Layout> {
 protected:
  void SetUp() override {
    if (!test::has_program("qemu-img")) GTEST_SKIP() << "qemu-img is not installed";
    seed_ = from_environment("FLATIMG_SEED", 20240817);
    random_.seed(seed_);
    make_image();
    if (!HasFatalFailure()) load_model();
  }

  std::string path(const std::string& name) { return (dir_.path() / name).string(); }

  void write_random_raw(const std::string& name, std::uint64_t size) {
    std::vector<char> bytes(size);
    // Runs of data, of one value (which compress) and of zeroes.
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t run = std::min<std::size_t>(bytes.size() - at, 1 + random_() % 100000);
      const auto sort = random_() % 3;
      for (std::size_t n = 0; n < run; ++n) {
        bytes[at + n] = sort == 0 ? static_cast<char>(random_()) : sort == 1 ? static_cast<char>(run % 251) : '\0';
      }
      at += run;
    }
    std::ofstream(path(name), std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

  static bool encrypted() { return GetParam().options.find("encrypt.") != std::string::npos; }
  static std::string secret() { return encrypted() ? " --object secret,id=s,data=abc" : ""; }
  // An image as the only one that a command of qemu-img reads.
  static std::string image_named(const std::string& name) {
    if (!encrypted()) return " " + name;
    return secret() + " --image-opts driver=qcow2,encrypt.key-secret=s,file.filename=" + name;
  }

  void make_image() {
    const Layout& layout = GetParam();
    const std::string size = std::to_string(layout.size);
    const std::string image = path("image.qcow2");
    const std::string options = secret() + (layout.options.empty() ? "" : " -o " + layout.options);
    const auto create = [&](const std::string& more) {
      std::string line = "cd " + dir_.path().string() + " && qemu-img create -q -f qcow2" + options + more;
      must_run(line);
    };
    switch (layout.start) {
      case Layout::Start::Empty:
        create(" image.qcow2 " + size);
        break;
      case Layout::Start::Data:
        write_random_raw("start.raw", layout.size);
        must_run("cd " + dir_.path().string() + " && qemu-img convert -f raw -O qcow2" + options +
                 " start.raw image.qcow2");
        break;
      case Layout::Start::Compressed:
        write_random_raw("start.raw", layout.size);
        must_run("cd " + dir_.path().string() + " && qemu-img convert -c -f raw -O qcow2" + options +
                 " start.raw image.qcow2");
        break;
      case Layout::Start::Overlay:
      case Layout::Start::OverlayShort:
      case Layout::Start::OverlayLong: {
        const std::uint64_t base = layout.start == Layout::Start::Overlay        ? layout.size
                                   : layout.start == Layout::Start::OverlayShort ? layout.size * 2 / 3 / 512 * 512
                                                                                 : layout.size * 2;
        write_random_raw("base.raw", base);
        must_run("cd " + dir_.path().string() + " && qemu-img convert -f raw -O qcow2 base.raw base.qcow2");
        create(" -b base.qcow2 -F qcow2 image.qcow2 " + size);
        break;
      }
      case Layout::Start::Snapshot:
        write_random_raw("start.raw", layout.size);
        must_run("cd " + dir_.path().string() + " && qemu-img convert -f raw -O qcow2" + options +
                 " start.raw image.qcow2" + " && qemu-img snapshot -c one" + image_named("image.qcow2"));
        must_run("cp " + path("image.qcow2") + " " + path("before.qcow2"));
        break;
    }
  }

  void load_model() {
    must_run("cd " + dir_.path().string() + " && qemu-img convert -O raw" + image_named("image.qcow2") + " model.raw");
    std::ifstream in(path("model.raw"), std::ios::binary);
    std::vector<char> bytes((std::istreambuf_iterator<char>(in)), {});
    std::vector<std::byte> content(bytes.size());
    std::memcpy(content.data(), bytes.data(), bytes.size());
    model_.emplace(std::move(content));
  }

  void open() {
    catalog::OpenRequest request;
    request.path = path("image.qcow2");
    request.cache_size = ByteCount(random_() % 2 == 0 ? 64u << 20 : 64u << 10);
    request.passphrase = std::make_shared<const Secret>(Secret::copy(test::bytes_of("abc")));
    auto opened = catalog::open_image(request);
    ASSERT_TRUE(opened) << opened.error().text;
    DiskOptions options;
    disk_ = std::make_unique<Disk>(std::move(opened->chain), options);
    ASSERT_TRUE(disk_->writable());
    ASSERT_EQ(disk_->size(), model_->size());
  }

  void close() {
    const auto closed = disk_->close();
    EXPECT_TRUE(closed) << closed.error().text;
    disk_.reset();
  }

  GuestRange random_range() {
    const std::uint64_t size = model_->size().value();
    const std::uint64_t most = std::uint64_t{1} << random_() % 21;
    std::uint64_t begin = random_() % size;
    std::uint64_t length = 1 + random_() % most;
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
    const auto written = disk_->write(range.begin, data);
    ASSERT_TRUE(written) << written.error().text;
    model_->write(range.begin, data);
  }

  void expect_equal(GuestRange range) {
    std::vector<std::byte> data(range.length.value());
    const auto read = disk_->read(range.begin, data);
    ASSERT_TRUE(read) << read.error().text;
    const auto expected = model_->bytes(range);
    const auto difference = std::mismatch(data.begin(), data.end(), expected.begin());
    ASSERT_EQ(difference.first, data.end())
        << "first difference at guest byte "
        << range.begin.value() + static_cast<std::uint64_t>(difference.first - data.begin()) << ", seed " << seed_;
  }

  void expect_holes_read_zero() {
    std::optional<GuestOffset> at = GuestOffset(0);
    std::uint64_t data_bytes = 0;
    while (at && at->value() < disk_->size().value()) {
      const auto data = disk_->next_data(*at);
      ASSERT_TRUE(data);
      const GuestOffset hole_end = data->value_or(GuestOffset(disk_->size().value()));
      const auto hole = model_->bytes(GuestRange::between(*at, hole_end));
      ASSERT_TRUE(std::all_of(hole.begin(), hole.end(), [](std::byte b) { return b == std::byte{0}; }));
      if (!*data) break;
      const auto next = disk_->next_hole(**data);
      ASSERT_TRUE(next);
      data_bytes += (*next - **data).value();
      at = *next;
    }
    EXPECT_EQ(disk_->data_bytes().value(), data_bytes) << "seed " << seed_;
  }

  // Mostly a little, sometimes to and from sizes that need another L1 table.
  void resize_somehow() {
    const bool has_snapshots = GetParam().start == Layout::Start::Snapshot || !snapshots_.empty();
    if (has_snapshots && GetParam().options.starts_with("compat=0.10")) return;
    const std::uint64_t most = GetParam().size * 3;
    const std::uint64_t now = model_->size().value();
    const std::uint64_t size = random_() % 4 == 0 ? random_() % most : now - now / 8 + random_() % (now / 4 + 1);
    const ByteCount wanted = align_up(ByteCount(std::clamp<std::uint64_t>(size, 65536, most)), 512_B);
    const auto resized = disk_->resize(wanted);
    ASSERT_TRUE(resized) << resized.error().text;
    ASSERT_EQ(disk_->size(), wanted);
    model_->resize(wanted);
  }

  [[nodiscard]] bool may_have_snapshots() const {
    return GetParam().options.find("data_file") == std::string::npos && GetParam().options != "refcount_bits=1";
  }

  // At most two of our own, beside the one that the image began with: the counters of some images end at three.
  void snapshot_somehow() {
    if (snapshots_.size() < 2 && random_() % 2 == 0) {
      SnapshotInfo wanted;
      wanted.name = "s" + std::to_string(random_());
      const auto taken = disk_->create_snapshot(wanted);
      if (!taken && GetParam().options.find("refcount_bits=2") != std::string::npos) {
        ASSERT_EQ(taken.error().kind, ErrorKind::Limit) << taken.error().text;
        return;
      }
      ASSERT_TRUE(taken) << taken.error().text << ", seed " << seed_;
      snapshots_.emplace_back(wanted.name, *model_);
      return;
    }
    if (snapshots_.empty()) return;
    const auto chosen = snapshots_.begin() + static_cast<std::ptrdiff_t>(random_() % snapshots_.size());
    if (random_() % 2 == 0) {
      const auto applied = disk_->apply_snapshot(chosen->first);
      ASSERT_TRUE(applied) << applied.error().text << ", seed " << seed_;
      model_.emplace(chosen->second);
      ASSERT_EQ(disk_->size(), model_->size());
      return;
    }
    const auto gone = disk_->delete_snapshot(chosen->first);
    ASSERT_TRUE(gone) << gone.error().text << ", seed " << seed_;
    snapshots_.erase(chosen);
  }

  void one_operation() {
    if (random_() % 25 == 0) return may_have_snapshots() && random_() % 2 == 0 ? snapshot_somehow() : resize_somehow();
    const GuestRange range = random_range();
    switch (random_() % 16) {
      case 0:
      case 1:
        ASSERT_TRUE(disk_->zero(range, Space::Release));
        model_->zero(range);
        break;
      case 2:
        ASSERT_TRUE(disk_->zero(range, Space::Keep));
        model_->zero(range);
        break;
      case 3:
        ASSERT_TRUE(disk_->allocate(range));
        break;
      case 4:
        ASSERT_TRUE(disk_->flush());
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
    const auto check = shell("cd " + dir_.path().string() + " && qemu-img check" + image_named("image.qcow2"));
    EXPECT_EQ(check.exit_code, 0) << check.output << "seed " << seed_;
    std::ofstream(path("model.raw"), std::ios::binary)
        .write(reinterpret_cast<const char*>(model_->all().data()), static_cast<std::streamsize>(model_->all().size()));
    const auto compare = shell("cd " + dir_.path().string() + " && qemu-img convert -O raw" +
                               image_named("image.qcow2") + " after.raw && cmp model.raw after.raw");
    EXPECT_EQ(compare.exit_code, 0) << compare.output << "seed " << seed_;
    for (const auto& [name, content] : snapshots_) expect_snapshot(name, content);
    if (GetParam().start == Layout::Start::Snapshot) {
      must_run("cd " + dir_.path().string() + " && cp image.qcow2 after.qcow2 && qemu-img snapshot -a one" +
               image_named("after.qcow2") + " && qemu-img check" + image_named("after.qcow2") +
               " && qemu-img convert -O raw" + image_named("before.qcow2") + " before.raw && qemu-img convert -O raw" +
               image_named("after.qcow2") + " after.raw && cmp before.raw after.raw");
    }
  }

  // QEMU applies it to a copy. With counters of two bits it cannot, because it raises before it lowers; there it reads
  // the snapshot, as far as the disk reaches today.
  void expect_snapshot(const std::string& name, const DiskModel& content) {
    std::ofstream(path("snapshot.raw"), std::ios::binary)
        .write(reinterpret_cast<const char*>(content.all().data()), static_cast<std::streamsize>(content.all().size()));
    const std::string there = "cd " + dir_.path().string() + " && ";
    if (GetParam().options.find("refcount_bits=2") != std::string::npos) {
      must_run(there + "qemu-img convert -l " + name + " -O raw image.qcow2 after.raw && " +
               "cmp -n $(stat -c %s after.raw) after.raw snapshot.raw");
      return;
    }
    must_run(there + "cp image.qcow2 after.qcow2 && qemu-img snapshot -a " + name + image_named("after.qcow2") +
             " && qemu-img check" + image_named("after.qcow2") + " && qemu-img convert -O raw" +
             image_named("after.qcow2") + " after.raw && cmp after.raw snapshot.raw");
  }

  test::TempDir dir_;
  std::vector<std::pair<std::string, DiskModel>> snapshots_;
  std::uint64_t seed_ = 0;
  std::mt19937_64 random_;
  std::optional<DiskModel> model_;
  std::unique_ptr<Disk> disk_;
};

TEST_P(Qcow2Model, AgreesWithPlainBytesAndWithQemu) {
  const std::uint64_t operations = from_environment("FLATIMG_OPERATIONS", 300);
  for (int round = 0; round < 3; ++round) {
    open();
    if (HasFatalFailure()) return;
    for (std::uint64_t n = 0; n < operations && !HasFatalFailure(); ++n) one_operation();
    if (HasFatalFailure()) return;
    expect_equal({GuestOffset(0), model_->size()});
    expect_holes_read_zero();
    close();
    judge();
    if (HasFailure()) return;
  }
}

using S = Layout::Start;

const std::string kLuks = ",encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10";
const std::string kAes = ",encrypt.format=aes,encrypt.key-secret=s";

INSTANTIATE_TEST_SUITE_P(
    Layouts, Qcow2Model,
    ::testing::Values(Layout{"default", "", 3 << 20, S::Empty}, Layout{"odd_size", "", (3 << 20) + 1536, S::Empty},
                      Layout{"v2", "compat=0.10", 3 << 20, S::Data},
                      Layout{"v2_overlay", "compat=0.10", 3 << 20, S::Overlay},
                      Layout{"v2_compressed", "compat=0.10", 3 << 20, S::Compressed},
                      Layout{"v2_snapshot", "compat=0.10", 3 << 20, S::Snapshot},
                      Layout{"clusters_512", "cluster_size=512", (3 << 20) + 512, S::Empty},
                      Layout{"clusters_512_overlay", "cluster_size=512", 1 << 20, S::Overlay},
                      Layout{"clusters_512_compressed", "cluster_size=512", 1 << 20, S::Compressed},
                      Layout{"clusters_1k_refcount_64", "cluster_size=1k,refcount_bits=64", 2 << 20, S::Data},
                      Layout{"clusters_4k", "cluster_size=4k", 3 << 20, S::Data},
                      Layout{"clusters_2m", "cluster_size=2M", 33 << 20, S::Data},
                      Layout{"clusters_2m_overlay", "cluster_size=2M", 9 << 20, S::OverlayShort},
                      Layout{"refcount_1", "refcount_bits=1", 3 << 20, S::Data},
                      Layout{"refcount_2", "refcount_bits=2", 3 << 20, S::Snapshot},
                      Layout{"refcount_4", "refcount_bits=4,cluster_size=4k", 3 << 20, S::Snapshot},
                      Layout{"refcount_8", "refcount_bits=8", 3 << 20, S::Compressed},
                      Layout{"refcount_32", "refcount_bits=32", 3 << 20, S::Data},
                      Layout{"refcount_64", "refcount_bits=64", 3 << 20, S::Compressed},
                      Layout{"compressed", "", 5 << 20, S::Compressed},
                      Layout{"compressed_zstd", "compression_type=zstd", 5 << 20, S::Compressed},
                      Layout{"compressed_2m", "cluster_size=2M", 9 << 20, S::Compressed},
                      Layout{"extended", "extended_l2=on", 3 << 20, S::Data},
                      Layout{"extended_empty", "extended_l2=on", (3 << 20) + 1024, S::Empty},
                      Layout{"extended_16k", "extended_l2=on,cluster_size=16k", 3 << 20, S::Overlay},
                      Layout{"extended_compressed", "extended_l2=on", 3 << 20, S::Compressed},
                      Layout{"extended_snapshot", "extended_l2=on", 3 << 20, S::Snapshot},
                      Layout{"extended_overlay_short", "extended_l2=on,cluster_size=2M", 7 << 20, S::OverlayShort},
                      Layout{"overlay", "", 3 << 20, S::Overlay}, Layout{"overlay_short", "", 3 << 20, S::OverlayShort},
                      Layout{"overlay_long", "cluster_size=4k", 3 << 20, S::OverlayLong},
                      Layout{"snapshot", "", 3 << 20, S::Snapshot},
                      Layout{"snapshot_512", "cluster_size=512", 1 << 20, S::Snapshot},
                      Layout{"lazy", "lazy_refcounts=on", 3 << 20, S::Data},
                      Layout{"data_file", "data_file=data.raw", 3 << 20, S::Empty},
                      Layout{"data_file_start", "data_file=data.raw", 3 << 20, S::Data},
                      Layout{"data_file_raw", "data_file=data.raw,data_file_raw=on", 3 << 20, S::Empty},
                      Layout{"data_file_extended", "data_file=data.raw,extended_l2=on", 3 << 20, S::Empty},
                      Layout{"data_file_overlay", "data_file=data.raw", 3 << 20, S::Overlay},
                      Layout{"preallocated_metadata", "preallocation=metadata", 3 << 20, S::Empty},
                      Layout{"preallocated_full", "preallocation=full", 3 << 20, S::Empty},
                      Layout{"preallocated_extended", "preallocation=metadata,extended_l2=on", 3 << 20, S::Empty},
                      Layout{"aes_64k", "cluster_size=64k" + kAes, (3 << 20) + 1536, S::Empty},
                      Layout{"luks_data", "cluster_size=4k" + kLuks, 3 << 20, S::Data},
                      Layout{"luks_512", "cluster_size=512" + kLuks, 1 << 20, S::Data},
                      Layout{"aes_2m", "cluster_size=2M" + kAes, 9 << 20, S::Data},
                      Layout{"aes_32k", "cluster_size=32k" + kAes, 2 << 20, S::Data},
                      Layout{"aes_v2", "compat=0.10" + kAes, 3 << 20, S::Data},
                      Layout{"aes_v2_overlay", "compat=0.10" + kAes, 3 << 20, S::Overlay},
                      Layout{"luks_overlay", "cluster_size=16k" + kLuks, 3 << 20, S::OverlayShort},
                      Layout{"luks_extended", "extended_l2=on,cluster_size=16k" + kLuks, 3 << 20, S::Overlay},
                      Layout{"aes_data_file", "data_file=data.raw" + kAes, 3 << 20, S::Empty},
                      Layout{"luks_snapshot", "cluster_size=4k" + kLuks, 3 << 20, S::Snapshot},
                      Layout{"aes_preallocated", "preallocation=metadata" + kAes, 3 << 20, S::Empty},
                      Layout{"aes", "cluster_size=64k" + kAes, (3 << 20) + 1536, S::Data},
                      Layout{"aes_512", "cluster_size=512" + kAes, 1 << 20, S::Data},
                      Layout{"aes_snapshot", "cluster_size=4k" + kAes, 3 << 20, S::Snapshot},
                      Layout{"aes_overlay_extended", "extended_l2=on" + kAes, 3 << 20, S::OverlayLong}),
    [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace flatimg
