// What is done to a qcow2 image at once, while every call to its files fails: deed_trial.h has the judge.
#include <gtest/gtest.h>

#include "base/log.h"
#include "fault/deed_trial.h"
#include "fault/shown.h"
#include "qcow2/check.h"
#include "qcow2/create.h"
#include "qcow2/data_check.h"
#include "qcow2/describe.h"
#include "qcow2/preallocated.h"
#include "qcow2/qcow2_image.h"
#include "qcow2/set_backing.h"
#include "raw/raw_image.h"
#include "support/matchers.h"

namespace flatimg {
namespace {

using test::Deed;
using test::Dresser;
using test::Files;
using test::MemoryFile;
using test::Succeeds;

constexpr std::size_t kImage = 0;
constexpr std::size_t kBase = 1;
constexpr std::size_t kData = 2;
constexpr ByteCount kSize{192 << 10};

enum class Use { Read, Write };

Result<std::unique_ptr<Disk>> open_disk(Dresser& files, Use use) {
  std::unique_ptr<Image> base;
  if (auto file = files.dressed(kBase)) {
    TRY(base, raw::RawImage::open(std::move(file), nullptr));
  }
  const auto memory = new_barrier_memory();
  auto file = files.dressed(kImage, memory);
  TRY(qcow2::Header header, qcow2::read_header(*file));
  qcow2::OpenOptions options;
  options.writable = use == Use::Write;
  options.flush_interval = std::chrono::milliseconds(0);
  TRY(auto image,
      qcow2::Qcow2Image::open(std::move(file), std::move(header), files.dressed(kData, memory), base.get(), options));
  return test::disk_of(std::move(image), std::move(base));
}

// --- beginnings -----------------------------------------------------------------------------------------------------

qcow2::CreateOptions small_clusters() {
  qcow2::CreateOptions options;
  options.size = kSize;
  options.cluster_size = 512_B;
  return options;
}

/// With data in half of its units; a few of them as streams.
void fill(Disk& disk) {
  const std::size_t unit = disk.traits().unit.value();
  const auto bytes = test::bytes_of_sectors(test::some_sectors(disk.size().value() / 2 / test::kSector));
  ASSERT_THAT(disk.write(GuestOffset(0), bytes), Succeeds());
  if (disk.traits().unit < 4096_B) return;
  for (std::size_t at = 0; at + unit <= bytes.size() / 2; at += 2 * unit) {
    const auto encoded = disk.top().encode(std::span(bytes).subspan(at, unit));
    ASSERT_THAT(encoded, Succeeds());
    if (encoded->empty()) continue;
    ASSERT_THAT(disk.write_encoded(GuestOffset(at), *encoded), Succeeds());
  }
}

Files image_with(const qcow2::CreateOptions& options, std::string_view snapshot = {}) {
  Files files(3);
  files[kImage] = std::make_shared<MemoryFile>();
  if (options.data_file_name) files[kData] = std::make_shared<MemoryFile>();
  EXPECT_THAT(qcow2::create(*files[kImage], files[kData].get(), options), Succeeds());
  if (options.backing_name) {
    files[kBase] = MemoryFile::containing(std::vector<std::byte>(options.size.value() / 2, std::byte{0x42}));
  }
  const test::Victim nobody{files.size()};
  Dresser dresser(files, nobody);
  auto disk = open_disk(dresser, Use::Write);
  EXPECT_THAT(disk, Succeeds());
  fill(**disk);
  if (!snapshot.empty()) {
    EXPECT_THAT((*disk)->create_snapshot(snapshot_now(std::string(snapshot))), Succeeds());
    const std::vector<std::byte> other(kSize.value() / 4, std::byte{0x33});
    EXPECT_THAT((*disk)->write(GuestOffset(0), other), Succeeds());
  }
  EXPECT_THAT((*disk)->close(), Succeeds());
  return files;
}

Files large_clusters() {
  qcow2::CreateOptions options = small_clusters();
  options.cluster_size = 4096_B;
  return image_with(options, "one");
}

Files overlay() {
  qcow2::CreateOptions options = small_clusters();
  options.backing_name = "base";
  options.backing_format = "raw";
  return image_with(options);
}

// --- what is left ---------------------------------------------------------------------------------------------------

/// Size, contents and snapshots, of an image that check finds no fault with.
std::string state_of_image(const Files& files) {
  test::expect_no_errors(*files[kImage], test::Leaks::MayBe);
  const test::Victim nobody{files.size()};
  Dresser dresser(files, nobody);
  auto disk = open_disk(dresser, Use::Read);
  EXPECT_THAT(disk, Succeeds());
  if (!disk) return "cannot be opened";
  const auto content = test::shown_disk(**disk);
  EXPECT_THAT(content, Succeeds());
  const auto header = qcow2::read_header(*files[kImage]);
  const auto info = qcow2::describe(*files[kImage], *header);
  EXPECT_THAT(info, Succeeds());
  std::string text = fmt::format("{} {} ", content->size(), header->backing_name.value_or("none"));
  for (const auto& snapshot : info->snapshots) text += snapshot.name + " ";
  return text + *content;
}

/// A file that was not completed is no image.
std::string state_of_new_image(const Files& files) {
  return qcow2::read_header(*files[kImage]) ? state_of_image(files) : "nothing";
}

// --- deeds ----------------------------------------------------------------------------------------------------------

using OnDisk = std::function<Result<void>(Disk&)>;

Deed on_disk(std::string name, Files start, OnDisk act) {
  const auto whole = [act = std::move(act)](Dresser& files) -> Result<std::string> {
    TRY(auto disk, open_disk(files, Use::Write));
    const auto done = act(*disk);
    const auto closed = disk->close();
    CHECK(done);
    CHECK(closed);
    return "done";
  };
  return {std::move(name), std::move(start), whole, state_of_image};
}

using OnFile = std::function<Result<std::string>(HostFile&)>;

/// Without changing it.
Deed looking(std::string name, Files start, OnFile act) {
  const auto whole = [act = std::move(act)](Dresser& files) { return act(*files.dressed(kImage)); };
  return {std::move(name), std::move(start), whole, test::same_files};
}

Deed changing(std::string name, Files start, OnFile act) {
  Deed deed = looking(std::move(name), std::move(start), std::move(act));
  deed.state = state_of_image;
  return deed;
}

Deed creating(std::string name, const qcow2::CreateOptions& options) {
  Deed deed{std::move(name), Files(3), {}, state_of_new_image, Deed::Again::NotPossible};
  deed.start[kImage] = std::make_shared<MemoryFile>();
  if (options.data_file_name) deed.start[kData] = std::make_shared<MemoryFile>();
  deed.act = [options](Dresser& files) -> Result<std::string> {
    const auto data = files.dressed(kData);
    CHECK(qcow2::create(*files.dressed(kImage), data.get(), options));
    return "done";
  };
  return deed;
}

std::vector<Deed> deeds_on_disks() {
  return {
      on_disk("grow", image_with(small_clusters()), [](Disk& disk) { return disk.resize(kSize * 40); }),
      on_disk("grow_from_within_a_cluster", overlay(), [](Disk& disk) { return disk.resize(kSize + 512_B); }),
      on_disk("shrink", image_with(small_clusters()), [](Disk& disk) { return disk.resize(ByteCount(30000)); }),
      on_disk("take_snapshot", large_clusters(), [](Disk& disk) { return disk.create_snapshot(snapshot_now("two")); }),
      on_disk("apply_snapshot", image_with(small_clusters(), "one"),
              [](Disk& disk) { return disk.apply_snapshot("one"); }),
      on_disk("delete_snapshot", large_clusters(), [](Disk& disk) { return disk.delete_snapshot("one"); }),
      on_disk("empty", overlay(), [](Disk& disk) { return disk.empty(); }),
  };
}

std::vector<Deed> deeds_on_files() {
  const auto check = [](HostFile& file) -> Result<std::string> {
    TRY(const qcow2::Header header, qcow2::read_header(file));
    TRY(CheckReport report, qcow2::check(file, header));
    TRY(report, qcow2::with_data_checked(file, header, std::move(report)));
    return test::shown_report(report);
  };
  const auto describe = [](HostFile& file) -> Result<std::string> {
    TRY(const qcow2::Header header, qcow2::read_header(file));
    TRY(const ImageInfo info, qcow2::describe(file, header));
    TRY(const bool preallocated, qcow2::looks_preallocated(file, header));
    return fmt::format("{} {}", info.snapshots.size(), preallocated);
  };
  const auto rebase = [](const std::optional<qcow2::BackingRecord>& backing) {
    return [backing](HostFile& file) -> Result<std::string> {
      CHECK(qcow2::set_backing(file, backing));
      return "done";
    };
  };
  const std::string far(200, 'x');
  return {looking("check", large_clusters(), check), looking("describe", large_clusters(), describe),
          changing("another_base", overlay(), rebase(qcow2::BackingRecord{"other", "qcow2"})),
          changing("a_longer_base", overlay(), rebase(qcow2::BackingRecord{far, "raw"})),
          changing("no_base", overlay(), rebase(std::nullopt))};
}

std::vector<Deed> deeds_that_create() {
  auto tables = small_clusters();
  tables.preallocation = qcow2::Preallocation::Metadata;
  auto space = small_clusters();
  space.preallocation = qcow2::Preallocation::Falloc;
  auto full = tables;
  full.preallocation = qcow2::Preallocation::Full;
  auto data_file = tables;
  data_file.data_file_name = "data";
  return {creating("create", small_clusters()), creating("create_with_tables", tables),
          creating("create_with_space", space), creating("create_full", full),
          creating("create_with_data_file", data_file)};
}

class Qcow2Deeds : public ::testing::Test {
 protected:
  void SetUp() override { configure_log(LogTarget::StandardError, LogLevel::Error); }
  static void fail_calls_of(const std::vector<Deed>& deeds) {
    for (const Deed& deed : deeds) {
      test::fail_every_call(deed);
      if (HasFailure()) break;
    }
  }
};

TEST_F(Qcow2Deeds, SizesAndSnapshotsAreOldOrNewWhateverFails) { fail_calls_of(deeds_on_disks()); }
TEST_F(Qcow2Deeds, LooksAndHeadersAreHonestWhateverFails) { fail_calls_of(deeds_on_files()); }
TEST_F(Qcow2Deeds, ANewImageIsWholeOrNoneWhateverFails) { fail_calls_of(deeds_that_create()); }

}  // namespace
}  // namespace flatimg
