// Power cuts at every barrier of random workloads on qcow images (version 1): each state opens for writing, has tables
// that fit, shows each sector as it was at the last flush or as some later write made it, and can be worked on.
//
// FLATIMG_SEED and FLATIMG_ROUNDS choose other and more workloads.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "codec/deflate.h"
#include "crash/crash_states.h"
#include "crash/sector_history.h"
#include "qcow1/check.h"
#include "qcow1/qcow1_image.h"
#include "support/matchers.h"
#include "support/process.h"
#include "support/qcow1_builder.h"
#include "support/temp_dir.h"
#include "view/disk.h"

namespace flatimg {
namespace {

using test::CrashState;
using test::FixedBase;
using test::MemoryFile;
using test::Qcow1Builder;
using test::Qcow1Shape;
using test::SectorHistory;

constexpr std::uint64_t kSector = 512;

struct Setting {
  std::string name;
  Qcow1Shape shape;
  bool with_base = false;
  bool encrypted = false;
  bool compressed = false;  // the first clusters
  bool in_extents = false;  // the checksum is right, and the first extent is there
};
void PrintTo(const Setting& setting, std::ostream* out) { *out << setting.name; }

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

class Qcow1Crash : public ::testing::TestWithParam<Setting> {
 protected:
  void make_start() {
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

  std::unique_ptr<Disk> open(std::unique_ptr<HostFile> file, std::string* error) {
    auto base = base_.empty() ? nullptr : std::make_unique<FixedBase>(base_);
    auto header = qcow1::read_header(*file);
    if (!header) {
      *error = header.error().text;
      return nullptr;
    }
    qcow1::OpenOptions options;
    options.writable = true;
    options.flush_interval = std::chrono::milliseconds(0);
    options.cache_size = 1_MiB;
    options.passphrase = &passphrase_;
    auto image = qcow1::Qcow1Image::open(std::move(file), *header, base.get(), options);
    if (!image) {
      *error = image.error().text;
      return nullptr;
    }
    std::vector<std::unique_ptr<Image>> chain;
    chain.push_back(*std::move(image));
    if (base) chain.push_back(std::move(base));
    return std::make_unique<Disk>(std::move(chain), DiskOptions{});
  }

  static void one_operation(Disk& disk, SectorHistory& history, test::Recording& recording, std::mt19937_64& random) {
    const std::size_t sectors = history.now().size();
    const std::size_t first = random() % sectors;
    const std::size_t most = random() % 4 == 0 ? 600 : 20;
    const std::size_t count = std::min<std::size_t>(sectors - first, 1 + random() % most);
    const GuestRange range{GuestOffset(first * kSector), ByteCount(count * kSector)};
    const std::size_t recorded = recording.operations().size();
    switch (random() % 8) {
      case 0:
      case 1:
        EXPECT_THAT(disk.zero(range, random() % 2 == 0 ? Space::Release : Space::Keep), test::Succeeds());
        history.change(first, count, std::byte{0}, recorded);
        break;
      case 2:
      case 3:
        EXPECT_THAT(disk.flush(), test::Succeeds());
        history.flushed(recording.operations().size());
        break;
      default: {
        const auto value = static_cast<std::byte>(1 + random() % 255);
        EXPECT_THAT(disk.write(range.begin, std::vector<std::byte>(range.length.value(), value)), test::Succeeds());
        history.change(first, count, value, recorded);
      }
    }
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

  void judge(CrashState state, const SectorHistory& history) {
    ++states_;
    expect_tables_fit(*state.file);
    if (GetParam().shape.xen) expect_extents(*state.file);
    const auto allowed = history.allowed(start_, state.covered, state.end);
    std::string error;
    auto disk = open(state.file->copy(), &error);
    ASSERT_NE(disk, nullptr) << error;
    ASSERT_TRUE(disk->writable()) << disk->traits().read_only_reason;
    std::vector<std::byte> content(disk->size().value());
    ASSERT_THAT(disk->read(GuestOffset(0), content), test::Succeeds());
    for (std::size_t sector = 0; sector < allowed.size(); ++sector) {
      const auto* bytes = content.data() + sector * kSector;
      const bool whole = std::all_of(bytes, bytes + kSector, [&](std::byte b) { return b == bytes[0]; });
      ASSERT_TRUE(whole && allowed[sector].contains(bytes[0]))
          << "sector " << sector << " has " << std::to_integer<int>(bytes[0]) << " after a crash between operations "
          << state.covered << " and " << state.end;
    }
    const bool qemu_can =
        !GetParam().encrypted && !GetParam().with_base && (state.file->contents()[63] & std::byte{2}) == std::byte{2};
    const bool plain = !GetParam().shape.xen && !GetParam().encrypted && !GetParam().with_base;
    if (has_qemu_ && (plain || (GetParam().shape.xen && qemu_can)) && states_ % 50 == 0) ask_qemu(*state.file, content);
    ASSERT_THAT(disk->write(GuestOffset(0), std::vector<std::byte>(70000, std::byte{1})), test::Succeeds());
    ASSERT_THAT(disk->close(), test::Succeeds());
  }

  test::TempDir dir_;
  Secret passphrase_ = Secret::copy(test::bytes_of("abc"));
  std::vector<std::byte> start_;
  std::vector<std::byte> base_;
  std::unique_ptr<MemoryFile> start_file_;
  std::uint64_t states_ = 0;
  bool has_qemu_ = test::has_program("qemu-img");
};

TEST_P(Qcow1Crash, LeavesOldOrNewAndTablesThatFit) {
  const std::uint64_t first_seed = from_environment("FLATIMG_SEED", 21);
  const std::uint64_t rounds = from_environment("FLATIMG_ROUNDS", 3);
  make_start();
  for (std::uint64_t seed = first_seed; seed < first_seed + rounds && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    auto recording = std::make_shared<test::Recording>();
    SectorHistory history(start_);
    std::string error;
    auto disk = open(std::make_unique<test::RecordingFile>(start_file_->copy(), recording), &error);
    ASSERT_NE(disk, nullptr) << error;
    for (int n = 0; n < 12; ++n) one_operation(*disk, history, *recording, random);
    ASSERT_THAT(disk->close(), test::Succeeds());
    history.flushed(recording->operations().size());
    disk.reset();
    test::for_each_crash_state(*start_file_, recording->operations(), 6, random, [&](CrashState state) {
      judge(std::move(state), history);
      return !HasFailure();
    });
  }
  RecordProperty("states", static_cast<int>(states_));
}

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
