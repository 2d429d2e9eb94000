// Power cuts in every workload of one operation, and in many of two (and three): each kind of operation at each telling
// place - the first cluster, data, compressed data, zeroes, the border of two L2 tables, the ragged end - of small,
// ordinary and large clusters. Each state opens for writing without repair, has no errors and few leaks, shows every
// sector, the size and the snapshots old or new, can be worked on, and is what QEMU sees, too (R1, R2, R4, R10).
//
// FLATIMG_SEED chooses other pairs, FLATIMG_CRASH_SHARE says how many of a thousand (1000: all of them), and
// FLATIMG_CRASH_TRIPLES how many workloads of three operations.
#include <fmt/format.h>

#include <unordered_set>

#include "codec/xxh64.h"
#include "crash/crash_states.h"
#include "crash/fixed_base.h"
#include "crash/sector_history.h"
#include "crash/short_workloads.h"
#include "qcow2/create.h"
#include "qcow2/qcow2_image.h"
#include "qcow2/snapshot_table.h"
#include "support/figures.h"
#include "support/forwarding_file.h"
#include "support/from_environment.h"
#include "support/image_oracle.h"
#include "support/matchers.h"
#include "support/process.h"
#include "support/temp_dir.h"
#include "view/disk.h"

namespace flatimg {
namespace {

using test::CrashState;
using test::Deed;
using test::FixedBase;
using test::kSector;
using test::MemoryFile;
using test::SectorHistory;
using test::ShortStep;
using test::Succeeds;

constexpr std::uint64_t kMostLeaks = 4096 + 64;  // clusters: what may be reserved ahead, and tables that were under way

struct Setting {
  std::string name;
  qcow2::CreateOptions options;
  std::uint64_t filled = 0;  // clusters with data behind the places of the workloads
  bool with_base = false;
  std::uint64_t share = 45;  // of a thousand workloads of two operations
};
void PrintTo(const Setting& setting, std::ostream* out) { *out << setting.name; }

qcow2::CreateOptions shape(std::uint64_t cluster, std::uint64_t refcount_bits = 16, std::uint32_t version = 3) {
  qcow2::CreateOptions options;
  options.cluster_size = ByteCount(cluster);
  options.refcount_bits = refcount_bits;
  options.version = version;
  return options;
}
qcow2::CreateOptions with(qcow2::CreateOptions options, void (*change)(qcow2::CreateOptions&)) {
  change(options);
  return options;
}

class Qcow2ShortWorkloads : public ::testing::TestWithParam<Setting> {
 protected:
  void SetUp() override {
    const Setting& setting = GetParam();
    cluster_ = setting.options.cluster_size.value();
    const std::uint64_t in_table = cluster_ / (setting.options.extended_l2 ? 16 : 8);
    const std::uint64_t clusters = in_table + std::max<std::uint64_t>(8, setting.filled);
    size_ = clusters * cluster_ - (cluster_ > kSector ? cluster_ / 2 : 0);
    places_ = {0, 1, 2, 3, in_table - 1, clusters - 1};
    has_qemu_ = test::has_program("qemu-img") && test::has_program("qemu-io");
    make_start();
  }

  // --- images and disks ---

  std::unique_ptr<Disk> open(std::vector<std::unique_ptr<HostFile>> files, qcow2::OpenOptions options) {
    auto header = qcow2::read_header(*files[0]);
    EXPECT_THAT(header, Succeeds());
    if (!header) return nullptr;
    options.flush_interval = std::chrono::milliseconds(0);
    options.cache_size = 1_MiB;
    std::unique_ptr<FixedBase> base = GetParam().with_base ? std::make_unique<FixedBase>(base_) : nullptr;
    auto data = files.size() > 1 ? std::move(files[1]) : nullptr;
    auto image = qcow2::Qcow2Image::open(std::move(files[0]), *header, std::move(data), base.get(), options);
    EXPECT_THAT(image, Succeeds());
    if (!image) return nullptr;
    std::vector<std::unique_ptr<Image>> chain;
    chain.push_back(*std::move(image));
    if (base) chain.push_back(std::move(base));
    return std::make_unique<Disk>(std::move(chain), DiskOptions{});
  }
  template <class Files>
  std::unique_ptr<Disk> open_copies(const Files& files, const qcow2::OpenOptions& options) {
    std::vector<std::unique_ptr<HostFile>> copies;
    for (const auto& file : files) copies.push_back(file->copy());
    return open(std::move(copies), options);
  }
  static qcow2::OpenOptions for_writing() {
    qcow2::OpenOptions options;
    options.writable = true;
    return options;
  }

  // Cluster 0 has nothing, 1 data, 2 compressed data where it can, 3 recorded zeroes; from 4 on there is data again.
  void make_start() {
    qcow2::CreateOptions options = GetParam().options;
    options.size = ByteCount(size_);
    starts_.push_back(std::make_shared<MemoryFile>());
    if (options.data_file_name) starts_.push_back(std::make_shared<MemoryFile>());
    if (GetParam().with_base) base_.assign(size_, std::byte{0xBA});
    ASSERT_THAT(qcow2::create(*starts_[0], starts_.size() > 1 ? starts_[1].get() : nullptr, options), Succeeds());
    std::vector<std::unique_ptr<HostFile>> files;
    for (const auto& start : starts_) files.push_back(std::make_unique<test::ForwardingFile>(start));
    const auto disk = open(std::move(files), for_writing());
    ASSERT_NE(disk, nullptr);
    fill(*disk, 1, std::byte{0x11});
    compress(*disk, 2, std::byte{0x22});
    ASSERT_THAT(disk->zero(cluster(3), Space::Keep), Succeeds());
    for (std::uint64_t n = 4; n < 4 + GetParam().filled; ++n) fill(*disk, n, std::byte{0x44});
    ASSERT_THAT(disk->close(), Succeeds());
    note_start();
  }
  void fill(Disk& disk, std::uint64_t number, std::byte value) {
    ASSERT_THAT(disk.write(cluster(number).begin, std::vector<std::byte>(cluster_, value)), Succeeds());
  }
  void compress(Disk& disk, std::uint64_t number, std::byte value) {
    if (starts_.size() > 1) return fill(disk, number, value);
    const auto encoded = disk.top().encode(std::vector<std::byte>(cluster_, value));
    ASSERT_THAT(encoded, Succeeds());
    ASSERT_THAT(disk.write_encoded(cluster(number).begin, *encoded), Succeeds());
  }
  std::unique_ptr<Disk> open_recorded(const std::shared_ptr<test::Recording>& recording) {
    std::vector<std::unique_ptr<HostFile>> files;
    for (const auto& start : starts_) files.push_back(std::make_unique<test::RecordingFile>(start->copy(), recording));
    return open(std::move(files), for_writing());
  }
  [[nodiscard]] std::vector<const MemoryFile*> starts_pointers() const {
    std::vector<const MemoryFile*> pointers;
    for (const auto& start : starts_) pointers.push_back(start.get());
    return pointers;
  }
  void note_start() {
    const auto disk = open_copies(starts_, {});
    ASSERT_NE(disk, nullptr);
    for (const std::uint64_t place : places_) {
      for (const std::uint64_t sector : telling_sectors(place)) {
        std::vector<std::byte> bytes(kSector);
        if ((sector + 1) * kSector > size_) continue;
        ASSERT_THAT(disk->read(GuestOffset(sector * kSector), bytes), Succeeds());
        start_values_[sector] = bytes[0];
      }
    }
  }

  // --- places ---

  [[nodiscard]] GuestRange cluster(std::uint64_t number) const {
    return {GuestOffset(number * cluster_), ByteCount(cluster_)};
  }
  [[nodiscard]] std::set<std::uint64_t> telling_sectors(std::uint64_t number) const {
    const std::uint64_t each = cluster_ / kSector;
    return {number * each, number * each + each / 2, (number + 1) * each - 1, (number + 1) * each};
  }
  [[nodiscard]] GuestRange range_of(const ShortStep& step, std::uint64_t disk_size) const {
    const std::uint64_t begin = step.cluster * cluster_;
    GuestRange range = cluster(step.cluster);
    if (step.deed == Deed::WritePart || step.deed == Deed::ZeroPart) {
      range = {GuestOffset(begin + cluster_ / kSector / 2 * kSector), ByteCount(kSector)};
    } else if (step.deed == Deed::WriteAcross) {
      range = {GuestOffset(begin + cluster_ - kSector), ByteCount(2 * kSector)};
    }
    return intersection(range, {GuestOffset(0), ByteCount(disk_size)});
  }

  // --- workloads ---

  struct Work {
    std::shared_ptr<test::Recording> recording = std::make_shared<test::Recording>();
    SectorHistory sectors;
    std::map<std::string, SectorHistory::Values> snapshots;  // that were ever made, by name
    std::byte next_value{0x80};
  };

  // What the format refuses in this state of the disk (a snapshot that is not there) is not part of the workload.
  void perform(const ShortStep& step, Disk& disk, Work& work) {
    const std::size_t recorded = work.recording->operations().size();
    const GuestRange range = range_of(step, work.sectors.size());
    if (has_place(step.deed) && range.empty()) return;  // the disk ends before it
    switch (step.deed) {
      case Deed::WriteWhole:
      case Deed::WritePart:
      case Deed::WriteAcross:
        work.next_value = static_cast<std::byte>(std::to_integer<int>(work.next_value) + 1);
        EXPECT_THAT(disk.write(range.begin, std::vector<std::byte>(range.length.value(), work.next_value)), Succeeds());
        return work.sectors.change(range, work.next_value, recorded);
      case Deed::ZeroWhole:
      case Deed::ZeroPart:
        EXPECT_THAT(disk.zero(range, Space::Keep), Succeeds());
        return work.sectors.change(range, std::byte{0}, recorded);
      case Deed::DiscardWhole:
        EXPECT_THAT(disk.zero(range, Space::Release), Succeeds());
        return work.sectors.change(range, std::byte{0}, recorded);
      case Deed::Flush:
        EXPECT_THAT(disk.flush(), Succeeds());
        break;
      case Deed::Grow:
        return resize(disk, work, work.sectors.size() + 3 * cluster_ + kSector);
      case Deed::Shrink:
        return resize(disk, work, work.sectors.size() - (5 * cluster_ / 2 + kSector - 1) / kSector * kSector);
      case Deed::CreateSnapshot:
        if (!snapshot_works(disk.create_snapshot(named("s")))) return;
        work.snapshots["s"] = work.sectors.now();
        break;
      case Deed::DeleteSnapshot:
        if (!snapshot_works(disk.delete_snapshot("s"))) return;
        break;
    }
    work.sectors.flushed(work.recording->operations().size());
  }
  static SnapshotInfo named(const std::string& name) {
    SnapshotInfo info;
    info.name = name;
    return info;
  }
  static bool snapshot_works(const Result<void>& done) {
    if (done) return true;
    const ErrorKind kind = done.error().kind;
    EXPECT_TRUE(kind == ErrorKind::NotFound || kind == ErrorKind::Unsupported || kind == ErrorKind::BadUsage ||
                kind == ErrorKind::Limit)  // counters of one bit
        << done.error().text;
    return false;
  }
  static void resize(Disk& disk, Work& work, std::uint64_t size) {
    const std::size_t recorded = work.recording->operations().size();
    const auto done = disk.resize(ByteCount(size));
    if (!done && done.error().kind == ErrorKind::Unsupported) return;
    ASSERT_THAT(done, Succeeds());
    work.sectors.resize(size, recorded);
  }

  void cut_power_during(const std::vector<ShortStep>& steps, const test::CrashSearch& search) {
    SCOPED_TRACE(name_of(steps));
    Work work;
    work.sectors = SectorHistory(start_values_, size_);
    auto disk = open_recorded(work.recording);
    ASSERT_NE(disk, nullptr);
    for (const ShortStep& step : steps) perform(step, *disk, work);
    ASSERT_THAT(disk->close(), Succeeds());
    work.sectors.flushed(work.recording->operations().size());
    disk.reset();
    ++workloads_;
    test::for_each_crash_state(starts_pointers(), work.recording->operations(), search, random_, [&](CrashState state) {
      SCOPED_TRACE(fmt::format("operations before {} are on disk, from {} on not", state.covered, state.end));
      judge(state, work);
      return !HasFailure();
    });
  }

  // --- judgement ---

  void judge(const CrashState& state, const Work& work) {
    ++states_;
    expect_sound(state.file());
    const auto disk = open_copies(state.files, for_writing());
    ASSERT_NE(disk, nullptr);
    ASSERT_TRUE(disk->writable()) << disk->traits().read_only_reason;
    const auto allowed = work.sectors.allowed(state.covered, state.end);
    EXPECT_TRUE(allowed.sizes.contains(disk->size().value())) << "a disk of " << disk->size().value() << " bytes";
    const SectorHistory::Values found = values_of(*disk);
    for (const auto& [sector, value] : found) {
      EXPECT_TRUE(allowed.values.at(sector).contains(value))
          << "sector " << sector << " has " << std::to_integer<int>(value);
    }
    expect_snapshots(state, work);
    if (HasFailure()) return;
    ask_qemu(state, found);
    ASSERT_THAT(disk->write(GuestOffset(0), std::vector<std::byte>(kSector, std::byte{1})), Succeeds());
    ASSERT_THAT(disk->flush(), Succeeds());
    ASSERT_THAT(disk->close(), Succeeds());
  }
  static void expect_sound(MemoryFile& file) {
    const auto header = qcow2::read_header(file);
    ASSERT_THAT(header, Succeeds());
    const auto report = qcow2::check(file, *header);
    ASSERT_THAT(report, Succeeds());
    EXPECT_EQ(report->check_errors + report->corruptions, 0u) << ::testing::PrintToString(report->sentences);
    EXPECT_LE(report->leaks, kMostLeaks);
  }
  [[nodiscard]] SectorHistory::Values values_of(Disk& disk) const {
    SectorHistory::Values values;
    for (const auto& [sector, unused] : start_values_) {
      if ((sector + 1) * kSector > disk.size().value()) continue;
      std::vector<std::byte> bytes(kSector);
      EXPECT_THAT(disk.read(GuestOffset(sector * kSector), bytes), Succeeds());
      EXPECT_TRUE(std::ranges::all_of(bytes, [&](std::byte b) { return b == bytes[0]; })) << "sector " << sector;
      values[sector] = bytes[0];
    }
    return values;
  }
  void expect_snapshots(const CrashState& state, const Work& work) {
    const auto header = qcow2::read_header(state.file());
    const auto table = qcow2::read_snapshot_table(state.file(), *header);
    ASSERT_THAT(table, Succeeds());
    for (const auto& snapshot : table->snapshots) {
      const auto known = work.snapshots.find(snapshot.name);
      ASSERT_NE(known, work.snapshots.end()) << snapshot.name;
      qcow2::OpenOptions options;
      options.snapshot = snapshot.name;
      const auto shown = open_copies(state.files, options);
      ASSERT_NE(shown, nullptr);
      for (const auto& [sector, value] : values_of(*shown)) {
        EXPECT_EQ(value, known->second.at(sector)) << "sector " << sector << " of the snapshot";
      }
    }
  }

  // States that QEMU has not seen yet, some of them. An external data file would have to be found by its name.
  void ask_qemu(const CrashState& state, const SectorHistory::Values& found) {
    if (!has_qemu_ || state.files.size() > 1 || GetParam().with_base || cluster_ > 65536) return;
    const auto bytes = state.file().contents();
    if (!seen_.insert(xxh64_low(bytes)).second || seen_.size() % ask_every_ != 0) return;
    ++asked_;
    const std::string path = dir_.write("state.qcow2", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    const auto check = test::run({"qemu-img", "check", "-q", path});
    EXPECT_TRUE(check.exit_code == 0 || check.exit_code == 3) << check.output;
    std::vector<std::string> reading{"qemu-io", "-r", "-f", "qcow2"};
    for (const auto& [sector, value] : found) {
      const auto command = fmt::format("read -q -P {} {} 512", std::to_integer<int>(value), sector * kSector);
      reading.insert(reading.end(), {"-c", command});
    }
    reading.push_back(path);
    const auto read = test::run(reading);
    EXPECT_TRUE(read.exit_code == 0 && read.output.empty()) << read.output;
  }

  void try_workloads(unsigned length, std::uint64_t share_of_thousand, const test::CrashSearch& search) {
    const auto steps = test::all_steps(places_);
    std::uint64_t count = 1;
    for (unsigned n = 0; n < length; ++n) count *= steps.size();
    const std::uint64_t wanted = std::max<std::uint64_t>(1, count * share_of_thousand / 1000);
    const std::uint64_t first = test::from_environment("FLATIMG_SEED", 1) * 7919;
    for (std::uint64_t n = 0; n < wanted && !HasFailure(); ++n) {
      cut_power_during(test::workload(steps, length, (first + n * count / wanted) % count), search);
    }
  }
  void report() {
    test::add_figure("workloads with power cuts", workloads_);
    test::add_figure("crash states", states_);
    test::add_figure("crash states that QEMU checked and read", asked_);
  }

  std::uint64_t cluster_ = 0;
  std::uint64_t size_ = 0;  // bytes of the disk
  std::vector<std::uint64_t> places_;
  std::vector<std::shared_ptr<MemoryFile>> starts_;
  std::vector<std::byte> base_;
  SectorHistory::Values start_values_;
  test::TempDir dir_;
  bool has_qemu_ = false;
  std::mt19937_64 random_{test::from_environment("FLATIMG_SEED", 1)};
  std::unordered_set<std::uint64_t> seen_;
  std::uint64_t ask_every_ = test::from_environment("FLATIMG_CRASH_QEMU", 2);
  std::uint64_t workloads_ = 0, states_ = 0, asked_ = 0;
};

TEST_P(Qcow2ShortWorkloads, OfOneOperationLeaveOldOrNew) {
  const bool large = cluster_ > 65536;  // states cost ten times as much
  try_workloads(1, 1000, {.all_subsets_up_to = large ? 4u : 8u, .random_states = large ? 1u : 4u, .cuts = 3});
  report();
}

TEST_P(Qcow2ShortWorkloads, OfTwoOperationsLeaveOldOrNew) {
  try_workloads(2, test::from_environment("FLATIMG_CRASH_SHARE", GetParam().share),
                {.all_subsets_up_to = 4, .random_states = 3, .cuts = 1});
  report();
}

TEST_P(Qcow2ShortWorkloads, OfThreeOperationsLeaveOldOrNew) {
  const auto steps = test::all_steps(places_);
  const std::uint64_t count = steps.size() * steps.size() * steps.size();
  const std::uint64_t wanted = test::from_environment("FLATIMG_CRASH_TRIPLES", 10);
  for (std::uint64_t n = 0; n < wanted && !HasFailure(); ++n) {
    cut_power_during(test::workload(steps, 3, random_() % count), {.all_subsets_up_to = 3, .random_states = 3});
  }
  report();
}

INSTANTIATE_TEST_SUITE_P(
    Settings, Qcow2ShortWorkloads,
    ::testing::Values(
        Setting{"clusters_512", shape(512), 200}, Setting{"clusters_512_refcount_64", shape(512, 64), 40},
        Setting{"clusters_512_refcount_1", shape(512, 1), 40}, Setting{"clusters_4k", shape(4096), 8},
        Setting{"v2", shape(4096, 16, 2), 8}, Setting{"default", shape(65536)},
        Setting{"extended", with(shape(16384), [](auto& options) { options.extended_l2 = true; })},
        Setting{"lazy_refcounts", with(shape(4096), [](auto& options) { options.lazy_refcounts = true; })},
        Setting{"data_file", with(shape(4096), [](auto& options) { options.data_file_name = "data"; })},
        Setting{.name = "base", .options = shape(4096), .with_base = true},
        Setting{.name = "clusters_2m", .options = shape(2 << 20), .share = 4}),
    [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace flatimg
