#include "fault/fault_trial.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <string_view>

#include "support/figures.h"

namespace flatimg::test {

namespace {

using Times = FaultyFile::Times;
using Effect = FaultyFile::Effect;

bool all_errors() {
  const char* text = std::getenv("FLATIMG_FAULTS");
  return text != nullptr && std::string_view(text) == "all";
}

bool same_bytes(const Files& one, const Files& other) {
  for (std::size_t n = 0; n < one.size(); ++n) {
    if (one[n] && one[n]->contents() != other[n]->contents()) return false;
  }
  return true;
}

void expect_content(Disk& disk, const SectorValues& values) {
  std::vector<std::byte> content(disk.size().value());
  const auto read = disk.read(GuestOffset(0), content);
  ASSERT_TRUE(read) << read.error().text;
  EXPECT_EQ(values.wrong_now(0, content).value_or(""), "") << "in the open disk";
}

void expect_durable_content(Disk& disk, const SectorValues& values) {
  std::vector<std::byte> content(disk.size().value());
  const auto read = disk.read(GuestOffset(0), content);
  ASSERT_TRUE(read) << read.error().text;
  EXPECT_EQ(values.wrong_durable(content).value_or(""), "") << "after opening it again";
}

void expect_refusals(Disk& disk, SectorValues& values, const DiskOperation& write) {
  perform(write, disk, values);
  EXPECT_FALSE(disk.write(write.range().begin, std::vector(write.count * kSector, write.value)))
      << "after a failed barrier";
  EXPECT_FALSE(disk.flush()) << "after a failed barrier";
  EXPECT_FALSE(disk.zero(write.range(), Space::Release)) << "after a failed barrier";
}

void expect_success(Disk& disk, SectorValues& values, const DiskOperation& write) {
  for (int round = 0; round < 2; ++round) {
    const auto written = disk.write(write.range().begin, std::vector(write.count * kSector, write.value));
    EXPECT_TRUE(written) << written.error().text;
    values.tried(write.first, write.count, write.value, written.has_value());
    const auto flushed = disk.flush();
    // What a flush that nobody waited for has met is reported once.
    EXPECT_TRUE(flushed || round == 0) << flushed.error().text;
    if (flushed) values.flushed();
  }
}

// A failure is over, unless it was one of a barrier.
void expect_work_goes_on(Disk& disk, const FaultyFile& file, SectorValues& values) {
  using Kind = DiskOperation::Kind;
  const DiskOperation write{Kind::Write, values.sectors() / 3, values.sectors() / 8 + 3, std::byte{0x77}};
  if (file.failed(Call::Barrier) > 0) {
    expect_refusals(disk, values, write);
  } else {
    expect_success(disk, values, write);
  }
  expect_content(disk, values);
}

class Trials {
 public:
  explicit Trials(Subject& subject) : subject_(subject), operations_(workload(subject.sectors().size())) {}

  void fail_calls_of(std::size_t file, std::uint64_t stride);
  [[nodiscard]] std::uint64_t runs() const { return runs_; }
  [[nodiscard]] std::uint64_t calls() const { return calls_; }

 private:
  std::uint64_t count_calls(std::size_t file);
  void fail_call(std::size_t file, std::uint64_t nth, std::uint64_t of);
  void run(const Victim& victim);
  void expect_sound(const Files& files, SectorValues& values, Leaks leaks);
  void perform_all(Disk& disk, SectorValues& values) {
    for (const DiskOperation& operation : operations_) perform(operation, disk, values);
  }

  Subject& subject_;
  std::vector<DiskOperation> operations_;
  std::uint64_t runs_ = 0;
  std::uint64_t calls_ = 0;
};

void Trials::expect_sound(const Files& files, SectorValues& values, Leaks leaks) {
  subject_.expect_no_errors(files, leaks);
  auto disk = open_sound(subject_, files);
  ASSERT_TRUE(disk) << disk.error().text;
  ASSERT_TRUE((*disk)->writable());
  expect_durable_content(**disk, values);
  const std::vector bytes(values.sectors() / 2 * kSector, std::byte{0x66});
  EXPECT_TRUE((*disk)->write(GuestOffset(kSector), bytes));
  EXPECT_TRUE((*disk)->close());
  disk->reset();
  subject_.expect_no_errors(files, leaks);
}

// How many calls of the file the workload makes when nothing fails.
std::uint64_t Trials::count_calls(std::size_t file) {
  const Files files = copies_of(subject_.files());
  SectorValues values(subject_.sectors());
  const Victim nobody{file};
  Dresser dresser(files, nobody);
  auto disk = subject_.open(dresser);
  EXPECT_TRUE(disk) << disk.error().text;
  if (!disk) return 0;
  perform_all(**disk, values);
  EXPECT_TRUE((*disk)->close());
  values.flushed();
  const std::uint64_t calls = dresser.victim()->all_calls();
  disk->reset();
  expect_sound(files, values, Leaks::AreErrors);
  return calls;
}

void Trials::run(const Victim& victim) {
  ++runs_;
  const Files files = copies_of(subject_.files());
  SectorValues values(subject_.sectors());
  Dresser dresser(files, victim);
  auto disk = subject_.open(dresser);
  if (!disk) {
    EXPECT_TRUE(subject_.opening_writes() || same_bytes(files, subject_.files()))
        << "changed by an opening that failed";
    return expect_sound(files, values, Leaks::MayBe);
  }
  perform_all(**disk, values);
  FaultyFile& file = *dresser.victim();
  const bool stays = victim.fault->times == Times::ForEver && victim.fault->nth % 2 == 0;
  if (file.all_failed() > 0 && !stays) {
    file.heal();
    expect_work_goes_on(**disk, file, values);
  }
  const bool closed = (*disk)->close().has_value();
  if (closed) values.flushed();
  EXPECT_FALSE(closed && values.changed() && file.failed(Call::Barrier) > 0) << "closed well after a failed barrier";
  disk->reset();
  expect_sound(files, values, closed ? Leaks::AreErrors : Leaks::MayBe);
}

void Trials::fail_call(std::size_t file, std::uint64_t nth, std::uint64_t of) {
  std::vector<int> errors{EIO, ENOSPC};
  if (all_errors()) errors.insert(errors.end(), {EDQUOT, EFBIG});
  for (const int error : errors) {
    for (const Times times : {Times::Once, Times::ForEver}) {
      for (const Effect effect : {Effect::None, Effect::Half}) {
        if (effect == Effect::Half && error != ENOSPC && !all_errors()) continue;
        SCOPED_TRACE(fmt::format("file {}, call {} of {} fails with {}, {}, {}, seed {}", file, nth, of, error,
                                 times == Times::Once ? "once" : "for ever",
                                 effect == Effect::Half ? "half done" : "not begun", workload_seed()));
        run({file, FaultyFile::Fault{{}, nth, times, error, effect}});
      }
    }
  }
}

void Trials::fail_calls_of(std::size_t file, std::uint64_t stride) {
  const std::uint64_t calls = count_calls(file);
  for (std::uint64_t nth = 1; nth <= calls && !::testing::Test::HasFailure(); nth += stride) {
    fail_call(file, nth, calls);
  }
  calls_ += calls;
}

}  // namespace

Files copies_of(const Files& files) {
  Files copies;
  for (const auto& file : files) copies.push_back(file ? std::shared_ptr(file->copy()) : nullptr);
  return copies;
}

std::unique_ptr<HostFile> Dresser::dressed(std::size_t file, std::shared_ptr<BarrierMemory> memory) {
  if (files_[file] == nullptr) return nullptr;
  auto faulty = std::make_shared<FaultyFile>(files_[file]);
  if (file == victim_.file) {
    if (victim_.fault) faulty->plan(*victim_.fault);
    faulty_ = faulty;
  }
  return with_sticky_failure(std::make_unique<ForwardingFile>(std::move(faulty)), std::move(memory));
}

Result<std::unique_ptr<Disk>> open_sound(Subject& subject, const Files& files) {
  const Victim nobody;
  Dresser dresser(files, nobody);
  return subject.open(dresser);
}

std::unique_ptr<Disk> disk_of(std::unique_ptr<Image> top, std::unique_ptr<Image> below) {
  std::vector<std::unique_ptr<Image>> chain;
  chain.push_back(std::move(top));
  if (below) chain.push_back(std::move(below));
  return std::make_unique<Disk>(std::move(chain), DiskOptions{});
}

void fail_every_call(Subject& subject, std::uint64_t stride) {
  ::testing::Test::RecordProperty("seed", std::to_string(workload_seed()));
  Trials trials(subject);
  for (std::size_t file = 0; file < subject.files().size(); ++file) {
    if (subject.files()[file]) trials.fail_calls_of(file, stride);
  }
  add_figure("workloads with a failing host call", trials.runs());
  add_figure("host calls that were failed", trials.calls());
}

}  // namespace flatimg::test
