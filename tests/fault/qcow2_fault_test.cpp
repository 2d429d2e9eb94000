// A failure at every host call: a fixed workload on qcow2 (and raw) runs against files whose k-th call fails, for every
// k, each error, once and for ever, before anything happened and in the middle. Afterwards
//   - every operation has failed or succeeded honestly: what was acknowledged is there, what failed is old or new;
//   - the image has no errors, opens for writing, and shows what was flushed (promises R1, R2, R5, R6);
//   - a single failure is over when it is over, but after a failed barrier nothing is promised any more, and reads go
//   on.
//
// FLATIMG_FAULTS=all takes more errors; FLATIMG_SEED chooses another workload.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <random>

#include "base/endian.h"
#include "base/log.h"
#include "fault/sector_values.h"
#include "host/sticky_file.h"
#include "qcow2/qcow2_image.h"
#include "raw/raw_image.h"
#include "support/faulty_file.h"
#include "support/figures.h"
#include "support/from_environment.h"
#include "support/image_oracle.h"
#include "support/memory_file.h"
#include "support/process.h"
#include "support/temp_dir.h"
#include "view/disk.h"

namespace flatimg {
namespace {

using test::Call;
using test::FaultyFile;
using test::kSector;
using test::MemoryFile;
using test::SectorValues;

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

std::uint64_t seed() { return test::from_environment("FLATIMG_SEED", 4711); }
bool all_errors() {
  const char* text = std::getenv("FLATIMG_FAULTS");
  return text != nullptr && std::string_view(text) == "all";
}

// The file whose calls fail.
enum class Role { Image, Base, Data };

// The files of an image, and the same files as the engine gets them.
struct Files {
  std::shared_ptr<MemoryFile> image, base, data;  // base and data may be missing
};

struct Operation {
  enum class Kind { Write, Release, Keep, Allocate, Flush, Read } kind = Kind::Flush;
  std::size_t first = 0;  // sectors
  std::size_t count = 0;
  std::byte value{0};
  [[nodiscard]] GuestRange range() const { return {GuestOffset(first * kSector), ByteCount(count * kSector)}; }
};

std::vector<Operation> workload(std::size_t sectors) {
  using Kind = Operation::Kind;
  std::array kinds{Kind::Write, Kind::Write, Kind::Write, Kind::Write,    Kind::Release,
                   Kind::Keep,  Kind::Flush, Kind::Read,  Kind::Allocate, Kind::Flush};
  std::mt19937_64 random(seed());
  std::ranges::shuffle(kinds, random);
  std::vector<Operation> operations;
  for (std::size_t n = 0; n < 30; ++n) {
    Operation operation{kinds[(n < kinds.size() ? n : random()) % kinds.size()], random() % sectors};
    const std::size_t most = random() % 3 == 0 ? sectors / 3 : sectors / 40;
    operation.count = 1 + random() % most;
    operation.count = std::min(operation.count, sectors - operation.first);
    if (operation.kind == Kind::Write) operation.value = static_cast<std::byte>(1 + random() % 255);
    operations.push_back(operation);
  }
  return operations;
}

std::shared_ptr<MemoryFile> file_from(const std::string& path) {
  const std::string text = test::contents_of(path);
  return MemoryFile::containing(std::as_bytes(std::span(text)));
}

class Qcow2Fault : public ::testing::TestWithParam<Setting> {
 protected:
  void SetUp() override {
    if (!test::has_program("qemu-img")) GTEST_SKIP() << "qemu-img is not installed";
    RecordProperty("seed", std::to_string(seed()));
    configure_log(LogTarget::StandardError, LogLevel::Error);
    make_start();
  }

  // Runs of equal sectors, a third of them zero.
  std::vector<std::byte> some_sectors() const {
    std::mt19937_64 random(seed() + 1);
    std::vector<std::byte> values(GetParam().size / kSector);
    for (std::size_t n = 0; n < values.size();) {
      const auto value = static_cast<std::byte>(random() % 3 == 0 ? 0 : random());
      for (std::size_t run = 1 + random() % (values.size() / 4); run > 0 && n < values.size(); --run)
        values[n++] = value;
    }
    return values;
  }

  void make_start() {
    const Setting& setting = GetParam();
    start_ = some_sectors();
    std::string content(setting.size, '\0');
    for (std::size_t n = 0; n < start_.size(); ++n)
      std::memset(&content[n * kSector], std::to_integer<int>(start_[n]), kSector);
    dir_.write("start.raw", content);
    std::vector<std::string> command{"sh", "-c", "cd '" + dir_.path().string() + "' && qemu-img "};
    std::string& line = command.back();
    const std::string options = setting.options.empty() ? "" : " -o " + setting.options;
    if (setting.with_base) {
      line += "create -q -f qcow2" + options + " start.qcow2 " + std::to_string(setting.size);
    } else {
      line += std::string("convert -f raw -O qcow2 ") + (setting.compressed ? "-c" : "") + options +
              " start.raw start.qcow2";
    }
    if (setting.snapshot) line += " && qemu-img snapshot -c one start.qcow2";
    const auto made = test::run(command);
    ASSERT_EQ(made.exit_code, 0) << made.output;
    files_.image = file_from(dir_ / (setting.raw ? "start.raw" : "start.qcow2"));
    if (setting.dirty) make_dirty(*files_.image);
    if (setting.with_base) files_.base = file_from(dir_ / "start.raw");
    if (setting.with_data_file) files_.data = file_from(dir_ / "data.raw");
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

  [[nodiscard]] Files fresh_files() const {
    const auto copied = [](const auto& file) { return file ? std::shared_ptr(file->copy()) : nullptr; };
    return {copied(files_.image), copied(files_.base), copied(files_.data)};
  }

  // A file as the catalog hands it to a format; the calls of `role` fail as planned.
  struct Victim {
    Role role = Role::Image;
    FaultyFile::Fault fault = {};
    bool planned = false;
    FaultyFile* file = nullptr;  // set by opening, gone with the disk
  };
  static std::unique_ptr<HostFile> dressed(const std::shared_ptr<MemoryFile>& file, Role role, Victim* victim,
                                           std::shared_ptr<BarrierMemory> memory = new_barrier_memory()) {
    auto faulty = std::make_unique<FaultyFile>(file);
    if (victim != nullptr && victim->role == role) {
      if (victim->planned) faulty->plan(victim->fault);
      victim->file = faulty.get();
    }
    return with_sticky_failure(std::move(faulty), std::move(memory));
  }

  Result<std::unique_ptr<Disk>> open(const Files& files, Victim* victim = nullptr) {
    std::unique_ptr<Image> base;
    if (files.base) {
      TRY(base, raw::RawImage::open(dressed(files.base, Role::Base, victim), nullptr));
    }
    const auto memory = new_barrier_memory();
    auto file = dressed(files.image, Role::Image, victim, memory);
    std::vector<std::unique_ptr<Image>> chain;
    if (GetParam().raw) {
      TRY(auto image, raw::RawImage::open(std::move(file), nullptr));
      chain.push_back(std::move(image));
      return std::make_unique<Disk>(std::move(chain), DiskOptions{});
    }
    TRY(qcow2::Header header, qcow2::read_header(*file));
    auto data = files.data ? dressed(files.data, Role::Data, victim, memory) : nullptr;
    qcow2::OpenOptions options;
    options.writable = true;
    options.flush_interval = std::chrono::milliseconds(0);
    options.cache_size = GetParam().cache;
    TRY(auto image, qcow2::Qcow2Image::open(std::move(file), std::move(header), std::move(data), base.get(), options));
    chain.push_back(std::move(image));
    if (base) chain.push_back(std::move(base));
    return std::make_unique<Disk>(std::move(chain), DiskOptions{});
  }

  static void perform(const Operation& operation, Disk& disk, SectorValues& values) {
    using Kind = Operation::Kind;
    const auto changed = [&](const Result<void>& result) {
      values.tried(operation.first, operation.count, operation.value, result.has_value());
    };
    switch (operation.kind) {
      case Kind::Write:
        changed(disk.write(operation.range().begin, std::vector(operation.count * kSector, operation.value)));
        break;
      case Kind::Release:
        changed(disk.zero(operation.range(), Space::Release));
        break;
      case Kind::Keep:
        changed(disk.zero(operation.range(), Space::Keep));
        break;
      case Kind::Allocate:
        (void)disk.allocate(operation.range());
        break;
      case Kind::Flush:
        if (disk.flush()) values.flushed();
        break;
      case Kind::Read: {
        std::vector<std::byte> bytes(operation.count * kSector);
        if (!disk.read(operation.range().begin, bytes)) break;
        EXPECT_EQ(values.wrong_now(operation.first, bytes).value_or(""), "");
        break;
      }
    }
  }

  static void expect_content(Disk& disk, const SectorValues& values, bool durable) {
    std::vector<std::byte> content(disk.size().value());
    const auto read = disk.read(GuestOffset(0), content);
    ASSERT_TRUE(read) << read.error().text;
    const auto wrong = durable ? values.wrong_durable(content) : values.wrong_now(0, content);
    EXPECT_EQ(wrong.value_or(""), "") << (durable ? "after opening it again" : "in the open disk");
  }

  // A failure is over, unless it was one of a barrier.
  static void expect_work_goes_on(Disk& disk, const FaultyFile& file, SectorValues& values) {
    const std::size_t count = values.sectors() / 8 + 3;
    const Operation write{Operation::Kind::Write, values.sectors() / 3, count, std::byte{0x77}};
    const bool barrier_failed = file.failed(Call::Barrier) > 0;
    for (int round = 0; round < 2; ++round) {
      const auto written = disk.write(write.range().begin, std::vector(count * kSector, write.value));
      values.tried(write.first, write.count, write.value, written.has_value());
      const auto flushed = disk.flush();
      if (flushed) values.flushed();
      if (barrier_failed) {
        EXPECT_FALSE(disk.zero(write.range(), Space::Release)) << "after a failed barrier";
        EXPECT_FALSE(written) << "after a failed barrier";
        EXPECT_FALSE(flushed) << "after a failed barrier";
      } else {
        EXPECT_TRUE(written) << written.error().text;
        // What a flush that nobody waited for has met is reported once.
        EXPECT_TRUE(flushed || round == 0) << flushed.error().text;
      }
    }
    expect_content(disk, values, false);
  }

  // An image that is still marked dirty need not have right counters yet.
  static void expect_no_errors(MemoryFile& file, bool leaks_allowed) {
    if (GetParam().raw) return;
    const auto header = qcow2::read_header(file);
    ASSERT_TRUE(header) << header.error().text;
    if (header->has(qcow2::incompatible::kDirty)) return;
    test::expect_no_errors(file, leaks_allowed ? test::Leaks::MayBe : test::Leaks::AreErrors);
  }

  void expect_sound(const Files& files, SectorValues& values, bool leaks_allowed) {
    expect_no_errors(*files.image, leaks_allowed);
    auto disk = open(files);
    ASSERT_TRUE(disk) << disk.error().text;
    ASSERT_TRUE((*disk)->writable());
    expect_content(**disk, values, true);
    const Operation write{Operation::Kind::Write, 1, values.sectors() / 2, std::byte{0x66}};
    EXPECT_TRUE((*disk)->write(write.range().begin, std::vector(write.count * kSector, write.value)));
    EXPECT_TRUE((*disk)->close());
    disk->reset();
    expect_no_errors(*files.image, leaks_allowed);
  }

  // How many calls of the file the workload makes when nothing fails.
  std::uint64_t count_calls(Role role) {
    const Files files = fresh_files();
    SectorValues values(start_);
    Victim nobody{role};
    auto disk = open(files, &nobody);
    if (!disk) {
      ADD_FAILURE() << disk.error().text;
      return 0;
    }
    for (const Operation& operation : operations_) perform(operation, **disk, values);
    EXPECT_TRUE((*disk)->close());
    values.flushed();
    const std::uint64_t calls = nobody.file->all_calls();
    disk->reset();
    expect_sound(files, values, false);
    return calls;
  }

  void run(Victim victim) {
    ++runs_;
    const Files files = fresh_files();
    SectorValues values(start_);
    victim.planned = true;
    auto disk = open(files, &victim);
    if (!disk) {
      EXPECT_TRUE(GetParam().dirty || files.image->contents() == files_.image->contents())
          << "changed by an opening that failed";
      expect_sound(files, values, true);
      return;
    }
    for (const Operation& operation : operations_) perform(operation, **disk, values);
    const bool met = victim.file->all_failed() > 0;
    const bool stays = victim.fault.times == FaultyFile::Times::ForEver && victim.fault.nth % 2 == 0;
    if (met && !stays) {
      victim.file->heal();
      expect_work_goes_on(**disk, *victim.file, values);
    }
    const bool closed = (*disk)->close().has_value();
    if (closed) values.flushed();
    EXPECT_FALSE(closed && values.changed() && victim.file->failed(Call::Barrier) > 0)
        << "closed well after a failed barrier";
    disk->reset();
    expect_sound(files, values, !closed);
  }

  void fail_every_call(Role role) {
    using Times = FaultyFile::Times;
    using Effect = FaultyFile::Effect;
    const std::uint64_t calls = count_calls(role);
    std::vector<int> errors{EIO, ENOSPC};
    if (all_errors()) errors.insert(errors.end(), {EDQUOT, EFBIG});
    for (std::uint64_t nth = 1; nth <= calls && !HasFailure(); nth += GetParam().stride) {
      for (const int error : errors) {
        for (const Times times : {Times::Once, Times::ForEver}) {
          for (const Effect effect : {Effect::None, Effect::Half}) {
            if (effect == Effect::Half && error != ENOSPC && !all_errors()) continue;
            SCOPED_TRACE(fmt::format("file {}, call {} of {} fails with {}, {}, {}, seed {}", static_cast<int>(role),
                                     nth, calls, error, times == Times::Once ? "once" : "for ever",
                                     effect == Effect::Half ? "half done" : "not begun", seed()));
            run({role, {{}, nth, times, error, effect}});
          }
        }
      }
    }
    calls_ += calls;
  }

  test::TempDir dir_;
  Files files_;
  std::vector<std::byte> start_;
  std::vector<Operation> operations_ = workload(GetParam().size / kSector);
  std::uint64_t runs_ = 0;
  std::uint64_t calls_ = 0;
};

TEST_P(Qcow2Fault, IsReportedHonestlyAndDoesNoHarm) {
  fail_every_call(Role::Image);
  if (files_.base) fail_every_call(Role::Base);
  if (files_.data) fail_every_call(Role::Data);
  test::add_figure("workloads with a failing host call", runs_);
  test::add_figure("host calls that were failed", calls_);
}

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
