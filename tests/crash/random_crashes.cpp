#include "crash/random_crashes.h"

#include <algorithm>

#include "support/figures.h"
#include "support/from_environment.h"
#include "support/matchers.h"

namespace flatimg::test {

namespace {

bool failed() { return ::testing::Test::HasFailure(); }

void one_operation(Disk& disk, SectorHistory& history, Recording& recording, std::mt19937_64& random) {
  const std::size_t sectors = history.now().size();
  const std::size_t first = random() % sectors;
  const std::size_t most = random() % 4 == 0 ? 600 : 20;
  const std::size_t count = std::min<std::size_t>(sectors - first, 1 + random() % most);
  const GuestRange range{GuestOffset(first * kSector), ByteCount(count * kSector)};
  const std::size_t recorded = recording.operations().size();
  switch (const auto kind = random() % 8) {
    case 0:
    case 1:
      EXPECT_THAT(disk.zero(range, kind == 0 ? Space::Release : Space::Keep), Succeeds());
      history.change(range, std::byte{0}, recorded);
      break;
    case 2:
    case 3:
      EXPECT_THAT(disk.flush(), Succeeds());
      history.flushed(recording.operations().size());
      break;
    default: {
      const auto value = static_cast<std::byte>(1 + random() % 255);
      EXPECT_THAT(disk.write(range.begin, std::vector<std::byte>(range.length.value(), value)), Succeeds());
      history.change(range, value, recorded);
    }
  }
}

void expect_allowed(std::span<const std::byte> content, const SectorHistory::Allowed& allowed,
                    const std::string& where) {
  for (const auto& [sector, values] : allowed.values) {
    const auto bytes = content.subspan(sector * kSector, kSector);
    const bool whole = std::ranges::all_of(bytes, [&](std::byte b) { return b == bytes[0]; });
    ASSERT_TRUE(whole && values.contains(bytes[0]))
        << "sector " << sector << " has " << std::to_integer<int>(bytes[0]) << where;
  }
}

SectorHistory::Values every_sector(const std::vector<std::byte>& start) {
  SectorHistory::Values values;
  for (std::size_t n = 0; n < start.size(); ++n) values[n] = start[n];
  return values;
}

}  // namespace

void RandomCrashes::judge(CrashState state, const SectorHistory& history) {
  ++states_;
  judge_file(state.file());
  const auto disk = open(state.file().copy());
  ASSERT_NE(disk, nullptr);
  ASSERT_TRUE(disk->writable()) << disk->traits().read_only_reason;
  std::vector<std::byte> content(disk->size().value());
  ASSERT_THAT(disk->read(GuestOffset(0), content), Succeeds());
  expect_allowed(content, history.allowed(state.covered, state.end),
                 fmt::format(" after a crash between operations {} and {}", state.covered, state.end));
  if (failed()) return;
  judge_content(state.file(), content);
  ASSERT_THAT(disk->write(GuestOffset(0), std::vector<std::byte>(70000, std::byte{1})), Succeeds());
  ASSERT_THAT(disk->close(), Succeeds());
}

void RandomCrashes::work_and_crash(std::mt19937_64& random) {
  auto recording = std::make_shared<Recording>();
  SectorHistory history(every_sector(start_), start_.size() * kSector);
  auto disk = open(std::make_unique<RecordingFile>(start_file_->copy(), recording));
  ASSERT_NE(disk, nullptr);
  for (int n = 0; n < 12; ++n) one_operation(*disk, history, *recording, random);
  ASSERT_THAT(disk->close(), Succeeds());
  history.flushed(recording->operations().size());
  disk.reset();
  for_each_crash_state({start_file_.get()}, recording->operations(), {}, random, [&](CrashState state) {
    judge(std::move(state), history);
    return !failed();
  });
}

void RandomCrashes::crash_workloads(std::uint64_t first_seed) {
  const std::uint64_t first = from_environment("FLATIMG_SEED", first_seed);
  const std::uint64_t rounds = from_environment("FLATIMG_ROUNDS", 3);
  for (std::uint64_t seed = first; seed < first + rounds && !failed(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    make_start(random);
    if (!failed()) work_and_crash(random);
  }
  add_figure("crash states", states_);
}

}  // namespace flatimg::test
