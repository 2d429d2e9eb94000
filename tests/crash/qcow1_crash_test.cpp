// Power cuts at every barrier of random workloads on qcow images (version 1): each state opens for writing, has tables
// that fit, shows each sector as it was at the last flush or as some later write made it, and can be worked on.
//
// FLATIMG_SEED and FLATIMG_ROUNDS choose other and more workloads.
#include <algorithm>

#include "codec/deflate.h"
#include "crash/fixed_base.h"
#include "crash/random_crashes.h"
#include "qcow1/check.h"
#include "qcow1/qcow1_image.h"
#include "support/matchers.h"
#include "support/process.h"
#include "support/qcow1_builder.h"
#include "support/temp_dir.h"

namespace flatimg {
namespace {

using test::FixedBase;
using test::kSector;
using test::MemoryFile;
using test::Qcow1Builder;
using test::Qcow1Shape;

struct Setting {
  std::string name;
  Qcow1Shape shape;
  bool with_base = false;
  bool encrypted = false;
  bool compressed = false;  // the first clusters
  bool in_extents = false;  // the checksum is right, and the first extent is there
};
void PrintTo(const Setting& setting, std::ostream* out) { *out << setting.name; }

class Qcow1Crash : public ::testing::TestWithParam<Setting>, protected test::RandomCrashes {
 protected:
  void make_start(std::mt19937_64& /*random*/) override {
    const Setting& setting = GetParam();
    Qcow1Builder image(setting.shape);
    start_.assign(setting.shape.size / kSector, std::byte{0});
    if (setting.encrypted) image.put32(36, 1);
    if (setting.with_base) {
      for (std::size_t n = 0; n < start_.size(); ++n) start_[n] = static_cast<std::byte>(1 + n / 7 % 250);
      base_.resize(setting.shape.size);
      for (std::size_t n = 0; n < base_.size(); ++n) base_[n] = start_[n / kSector];
    }
    if (setting.compressed) add_streams(image);
    if (setting.in_extents) add_extent(image);
    start_file_ = image.file();
  }

  void add_streams(Qcow1Builder& image) {
    for (std::uint64_t cluster = 0; cluster < 20; cluster += 2) {
      const std::vector<std::byte> content(image.cluster_size(), static_cast<std::byte>(200 + cluster));
      std::vector<std::byte> stream(content.size());
      const auto length = deflate_into(content, stream);
      ASSERT_TRUE(length && *length > 0);
      image.add_stream(cluster, std::span(stream).first(*length));
      const std::size_t sectors = content.size() / kSector;
      std::fill_n(start_.begin() + static_cast<std::ptrdiff_t>(cluster * sectors), sectors, content[0]);
    }
  }

  static void add_extent(Qcow1Builder& image) {
    for (std::uint64_t n = 0; n < 512; ++n) image.put64(image.l2_entry(n), image.l2_table() + 4096 + n * 4096);
    image.resize(image.l2_table() + 4096 + (2u << 20));
    std::vector<std::uint64_t> words(image.l1_entries());
    words[0] = image.l2_table();
    const bool little = (image.get32(60) & 2) == 0;
    image.put32(52, *qcow1::l1_checksum(words, little ? qcow1::ByteOrder::Little : qcow1::ByteOrder::Big));
  }

  std::unique_ptr<Disk> open(std::unique_ptr<HostFile> file) override {
    auto base = base_.empty() ? nullptr : std::make_unique<FixedBase>(base_);
    auto opened = open_image(std::move(file), base.get());
    EXPECT_THAT(opened, test::Succeeds());
    if (!opened) return nullptr;
    std::vector<std::unique_ptr<Image>> chain;
    chain.push_back(*std::move(opened));
    if (base) chain.push_back(std::move(base));
    return std::make_unique<Disk>(std::move(chain), DiskOptions{});
  }
  Result<std::unique_ptr<qcow1::Qcow1Image>> open_image(std::unique_ptr<HostFile> file, Image* below) {
    TRY(qcow1::Header header, qcow1::read_header(*file));
    qcow1::OpenOptions options;
    options.writable = true;
    options.flush_interval = std::chrono::milliseconds(0);
    options.cache_size = 1_MiB;
    options.passphrase = &passphrase_;
    return qcow1::Qcow1Image::open(std::move(file), std::move(header), below, options);
  }

  void judge_file(MemoryFile& file) override {
    expect_tables_fit(file);
    if (GetParam().shape.xen) expect_extents(file);
  }
  void judge_content(const MemoryFile& file, std::span<const std::byte> content) override {
    if (has_qemu_ && states_ % 50 == 0 && qemu_can_read(file)) ask_qemu(file, content);
  }

  static void expect_tables_fit(HostFile& file) {
    const auto header = qcow1::read_header(file);
    ASSERT_THAT(header, test::Succeeds());
    const auto report = qcow1::check(file, *header);
    ASSERT_THAT(report, test::Succeeds());
    ASSERT_EQ(report->corruptions, 0u) << report->sentences[0];
  }

  // What QEMU reads where it can: the same bytes as we do.
  void ask_qemu(const MemoryFile& file, std::span<const std::byte> content) {
    const auto bytes = file.contents();
    const std::string path = dir_.write("state", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    const auto converted = test::run({"qemu-img", "convert", "-f", "qcow", "-O", "raw", path, dir_ / "raw"});
    ASSERT_EQ(converted.exit_code, 0) << converted.output;
    const std::string text = test::contents_of(dir_ / "raw");
    ASSERT_EQ(text.size(), content.size());
    EXPECT_EQ(std::memcmp(text.data(), content.data(), text.size()), 0) << "QEMU reads something else";
  }

  // A table that tapdisk finds data by must say what the arithmetic says.
  static void expect_extents(HostFile& file) {
    const auto header = qcow1::read_header(file);
    const auto table = qcow1::read_l1_table(file, *header);
    if (!qcow1::in_extents(*header, *table)) return;
    for (const std::uint64_t word : table->words) {
      if (word == 0) continue;
      std::vector<std::byte> bytes(4096);
      ASSERT_THAT(file.read(HostOffset(word), bytes), test::Succeeds());
      for (std::uint64_t n = 0; n < 512; ++n) ASSERT_EQ(load_be<std::uint64_t>(bytes, n * 8), word + 4096 + n * 4096);
    }
  }

  // It knows neither our base nor Xen's tables in the byte order of the machine.
  static bool qemu_can_read(const MemoryFile& file) {
    if (GetParam().encrypted || GetParam().with_base) return false;
    return !GetParam().shape.xen || (file.contents()[63] & std::byte{2}) == std::byte{2};
  }

  test::TempDir dir_;
  Secret passphrase_ = Secret::copy(test::bytes_of("abc"));
  std::vector<std::byte> base_;
  bool has_qemu_ = test::has_program("qemu-img");
};

TEST_P(Qcow1Crash, LeavesOldOrNewAndTablesThatFit) { crash_workloads(21); }

constexpr std::uint64_t kSmall = 256 << 10;

INSTANTIATE_TEST_SUITE_P(
    Settings, Qcow1Crash,
    ::testing::Values(
        Setting{"plain", {.size = 1 << 20}}, Setting{"odd_size", {.size = (1 << 20) + 1536}},
        Setting{"clusters_512", {.cluster_bits = 9, .l2_bits = 6, .size = kSmall}},
        Setting{"clusters_64k", {.cluster_bits = 16, .l2_bits = 6, .size = 1 << 20}},
        Setting{"compressed", {.size = 1 << 20}, false, false, true},
        Setting{"base", {.size = kSmall, .backing = "base"}, true},
        Setting{"base_512", {.cluster_bits = 9, .l2_bits = 12, .size = kSmall, .backing = "base"}, true},
        Setting{"base_compressed", {.size = kSmall, .backing = "base"}, true, false, true},
        Setting{"encrypted", {.size = kSmall}, false, true},
        Setting{"encrypted_512", {.cluster_bits = 9, .l2_bits = 6, .size = kSmall}, false, true},
        Setting{"encrypted_base", {.size = kSmall, .backing = "base"}, true, true},
        Setting{"xen", {.size = kSmall, .xen = true}},
        Setting{"xen_native", {.size = kSmall, .xen = true, .xen_flags = 1}},
        Setting{"xen_native_base", {.size = kSmall, .xen = true, .xen_flags = 1, .backing = "/base"}, true},
        Setting{"xen_extents", {.size = 5 << 20, .xen = true, .clusters_at_once = 512}, false, false, false, true},
        Setting{"xen_extents_native",
                {.size = 5 << 20, .xen = true, .xen_flags = 1, .clusters_at_once = 512},
                false,
                false,
                false,
                true}),
    [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace flatimg
