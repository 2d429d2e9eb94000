// Power cuts during operations that switch the header from one set of tables to another: other sizes and internal
// snapshots. Each state opens for writing, has no errors and shows the disk - its size, its bytes, its snapshots with
// theirs - as it was before an operation or after it (promises R1, R2, R4).
#include <gtest/gtest.h>

#include <map>

#include "crash/crash_states.h"
#include "qcow2/check.h"
#include "qcow2/qcow2_image.h"
#include "qcow2/snapshot_table.h"
#include "support/faulty_file.h"
#include "support/figures.h"
#include "support/process.h"
#include "support/temp_dir.h"
#include "view/disk.h"

namespace flatimg {
namespace {

using test::CrashState;
using test::MemoryFile;

struct Setting {
  std::string name;
  std::string options;
  bool compressed = false;
  std::uint64_t size = 1 << 20;
};
void PrintTo(const Setting& setting, std::ostream* out) { *out << setting.name; }

using Bytes = std::vector<std::byte>;

// What somebody sees who opens the image.
struct Sight {
  Bytes disk;
  std::map<std::string, Bytes> snapshots;  // by ID
  friend bool operator==(const Sight&, const Sight&) = default;
};

class Qcow2SwitchCrash : public ::testing::TestWithParam<Setting> {
 protected:
  void SetUp() override {
    if (!test::has_program("qemu-img")) GTEST_SKIP() << "qemu-img is not installed";
    make_start();
  }

  void make_start() {
    const Setting& setting = GetParam();
    std::string content(setting.size, '\0');
    std::mt19937_64 random(5);
    for (std::size_t at = 0; at < content.size();) {
      const char value = static_cast<char>(random() % 3 == 0 ? 0 : random());
      for (std::size_t run = 512 * (1 + random() % 200); run > 0 && at < content.size(); --run) content[at++] = value;
    }
    dir_.write("start.raw", content);
    std::vector<std::string> command{"qemu-img", "convert", "-f", "raw", "-O", "qcow2"};
    if (setting.compressed) command.push_back("-c");
    if (!setting.options.empty()) command.insert(command.end(), {"-o", setting.options});
    command.insert(command.end(), {dir_ / "start.raw", dir_ / "start.qcow2"});
    const auto made = test::run(command);
    ASSERT_EQ(made.exit_code, 0) << made.output;
    const std::string bytes = test::contents_of(dir_ / "start.qcow2");
    start_ = MemoryFile::containing(std::as_bytes(std::span(bytes)));
  }

  static std::unique_ptr<Disk> open(std::unique_ptr<HostFile> file, qcow2::OpenOptions options) {
    auto header = qcow2::read_header(*file);
    EXPECT_TRUE(header) << header.error().text;
    if (!header) return nullptr;
    options.flush_interval = std::chrono::milliseconds(0);
    options.cache_size = 1_MiB;
    auto image = qcow2::Qcow2Image::open(std::move(file), *header, nullptr, nullptr, options);
    EXPECT_TRUE(image) << image.error().text;
    if (!image) return nullptr;
    std::vector<std::unique_ptr<Image>> chain;
    chain.push_back(*std::move(image));
    return std::make_unique<Disk>(std::move(chain), DiskOptions{});
  }
  static std::unique_ptr<Disk> open_for_writing(std::unique_ptr<HostFile> file) {
    qcow2::OpenOptions options;
    options.writable = true;
    return open(std::move(file), options);
  }

  static Bytes bytes_of(Disk& disk) {
    Bytes bytes(disk.size().value());
    EXPECT_TRUE(disk.read(GuestOffset(0), bytes));
    return bytes;
  }
  static Sight look(const MemoryFile& file) {
    Sight sight;
    const auto disk = open(file.copy(), {});
    if (disk) sight.disk = bytes_of(*disk);
    const auto copy = file.copy();
    const auto header = qcow2::read_header(*copy);
    if (!header) return sight;
    const auto table = qcow2::read_snapshot_table(*copy, *header);
    EXPECT_TRUE(table) << table.error().text;
    for (const auto& snapshot : table->snapshots) {
      qcow2::OpenOptions options;
      options.snapshot = snapshot.id;
      const auto shown = open(file.copy(), options);
      if (shown) sight.snapshots[snapshot.id] = bytes_of(*shown);
    }
    return sight;
  }

  // Runs one operation, which is on disk when it returns, and remembers what can be seen afterwards.
  void step(Disk& disk, const MemoryFile& file, const std::function<Result<void>(Disk&)>& operation) {
    const std::size_t begun = recording_->operations().size();
    const auto done = operation(disk);
    ASSERT_TRUE(done) << done.error().text;
    ASSERT_TRUE(disk.flush());
    sights_.push_back({begun, recording_->operations().size(), look(file)});
  }

  void judge(CrashState state) {
    ++states_;
    auto header = qcow2::read_header(state.file());
    ASSERT_TRUE(header) << header.error().text;
    const auto report = qcow2::check(state.file(), *header);
    ASSERT_TRUE(report) << report.error().text;
    EXPECT_EQ(report->corruptions, 0u) << testing::PrintToString(report->sentences);
    EXPECT_EQ(report->check_errors, 0u);
    const Sight found = look(state.file());
    bool known = false;
    for (std::size_t n = 0; n < sights_.size(); ++n) {
      const bool next_was_done = n + 1 < sights_.size() && sights_[n + 1].done <= state.covered;
      known |= sights_[n].begun <= state.end && !next_was_done && sights_[n].sight == found;
    }
    EXPECT_TRUE(known) << "a disk of " << found.disk.size() << " bytes, neither old nor new, between operations "
                       << state.covered << " and " << state.end;
    if (states_ % 50 == 0) ask_qemu(state.file());
    const auto disk = open_for_writing(state.file().copy());
    ASSERT_NE(disk, nullptr);
    EXPECT_TRUE(disk->writable());
    EXPECT_TRUE(disk->write(GuestOffset(0), Bytes(std::min<std::size_t>(found.disk.size(), 70000), std::byte{1})));
    EXPECT_TRUE(header->version < 3 || disk->resize(disk->size() + 3_MiB));
    EXPECT_TRUE(disk->close());
  }

  void ask_qemu(const MemoryFile& file) {
    const auto bytes = file.contents();
    const std::string path = dir_.write("state.qcow2", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    const auto check = test::run({"qemu-img", "check", path});
    EXPECT_TRUE(check.exit_code == 0 || check.exit_code == 3) << check.output;
  }

  void cut_power_during(const std::vector<std::function<Result<void>(Disk&)>>& operations) {
    std::shared_ptr<MemoryFile> file = start_->copy();
    sights_ = {{0, 0, look(*file)}};
    recording_ = std::make_shared<test::Recording>();
    const auto disk =
        open_for_writing(std::make_unique<test::RecordingFile>(std::make_unique<test::FaultyFile>(file), recording_));
    ASSERT_NE(disk, nullptr);
    for (const auto& operation : operations) {
      step(*disk, *file, operation);
      if (HasFatalFailure()) return;
    }
    ASSERT_TRUE(disk->close());
    std::mt19937_64 random(17);
    test::for_each_crash_state({start_.get()}, recording_->operations(), {}, random, [&](CrashState state) {
      judge(std::move(state));
      return !HasFailure();
    });
    test::add_figure("crash states", states_);
  }

  struct Known {
    std::size_t begun = 0;  // operations of the recording when it began, and when it had been done
    std::size_t done = 0;
    Sight sight;
  };
  test::TempDir dir_;
  std::unique_ptr<MemoryFile> start_;
  std::shared_ptr<test::Recording> recording_;
  std::vector<Known> sights_;
  std::uint64_t states_ = 0;
};

auto resize_to(ByteCount size) {
  return [size](Disk& disk) { return disk.resize(size); };
}
auto write_at(GuestOffset at, std::size_t bytes, int value) {
  return [=](Disk& disk) { return disk.write(at, Bytes(bytes, static_cast<std::byte>(value))); };
}

TEST_P(Qcow2SwitchCrash, LeavesTheOldOrTheNewSize) {
  const ByteCount size(GetParam().size);
  cut_power_during({resize_to(size + 1536_B), resize_to(size * 3), write_at(GuestOffset(size.value() * 2), 512, 7),
                    resize_to(size + 5120_B), resize_to(ByteCount(size.value() / 2 + 512)), resize_to(size * 2),
                    write_at(GuestOffset(size.value()), 512, 8), resize_to(512_B), resize_to(size)});
}

auto create(const std::string& name) {
  return [name](Disk& disk) {
    SnapshotInfo wanted;
    wanted.name = name;
    return disk.create_snapshot(wanted);
  };
}
auto apply(const std::string& name) {
  return [name](Disk& disk) { return disk.apply_snapshot(name); };
}
auto erase(const std::string& name) {
  return [name](Disk& disk) { return disk.delete_snapshot(name); };
}

TEST_P(Qcow2SwitchCrash, LeavesTheOldOrTheNewSnapshots) {
  cut_power_during({create("one"), write_at(GuestOffset(512), 512, 7), create("two"), apply("one"),
                    write_at(GuestOffset(1024), 512, 8), erase("one"), apply("two"), erase("two"),
                    write_at(GuestOffset(2048), 512, 9)});
}

TEST_P(Qcow2SwitchCrash, LeavesSnapshotsOfOtherSizesAlone) {
  if (GetParam().options.starts_with("compat=0.10")) GTEST_SKIP() << "version 2 with snapshots is not resized";
  const ByteCount size(GetParam().size);
  cut_power_during({create("small"), resize_to(size * 3), write_at(GuestOffset(size.value() * 2), 512, 7),
                    create("large"), resize_to(ByteCount(size.value() / 2)), apply("large"), apply("small"),
                    erase("large"), resize_to(size * 2)});
}

INSTANTIATE_TEST_SUITE_P(
    Settings, Qcow2SwitchCrash,
    ::testing::Values(Setting{"default", ""}, Setting{"clusters_512", "cluster_size=512", false, 128 << 10},
                      Setting{"clusters_512_refcount_64", "cluster_size=512,refcount_bits=64", false, 128 << 10},
                      Setting{"v2", "compat=0.10,cluster_size=4k"}, Setting{"compressed", "cluster_size=16k", true},
                      Setting{"extended", "extended_l2=on,cluster_size=16k"}),
    [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace flatimg
