#include "fault/deed_trial.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "support/figures.h"

namespace flatimg::test {

namespace {

using Times = FaultyFile::Times;
using Effect = FaultyFile::Effect;

class DeedTrials {
 public:
  explicit DeedTrials(const Deed& deed) : deed_(deed), before_(deed.state(deed.start)) {}

  void fail_calls_of(std::size_t file);
  [[nodiscard]] std::uint64_t calls() const { return calls_; }
  [[nodiscard]] std::uint64_t runs() const { return runs_; }

 private:
  /// Without a fault; how many calls of the file it makes.
  std::uint64_t count_calls(std::size_t file);
  void run(const Victim& victim);
  void expect_done_again(const Files& files);

  const Deed& deed_;
  const Deed::Shown before_;
  Deed::Shown shown_;
  Deed::Shown after_;
  std::uint64_t calls_ = 0;
  std::uint64_t runs_ = 0;
};

std::uint64_t DeedTrials::count_calls(std::size_t file) {
  const Files files = copies_of(deed_.start);
  const Victim nobody{file};
  Dresser dresser(files, nobody);
  const auto shown = deed_.act(dresser);
  EXPECT_TRUE(shown) << shown.error().text;
  if (!shown) return 0;
  shown_ = *shown;
  after_ = deed_.state(files);
  return dresser.victim() != nullptr ? dresser.victim()->all_calls() : 0;
}

void DeedTrials::expect_done_again(const Files& files) {
  const Victim nobody{files.size()};
  Dresser dresser(files, nobody);
  const auto shown = deed_.act(dresser);
  EXPECT_TRUE(shown) << shown.error().text;
  EXPECT_TRUE(deed_.state(files) == after_) << "other contents at the second try";
}

void DeedTrials::run(const Victim& victim) {
  ++runs_;
  const Files files = copies_of(deed_.start);
  Dresser dresser(files, victim);
  const auto shown = deed_.act(dresser);
  const auto left = deed_.state(files);
  if (shown) {
    EXPECT_TRUE(*shown == shown_) << "done, and shows something else";
    EXPECT_TRUE(left == after_) << "done, and not there";
    return;
  }
  EXPECT_TRUE(left == before_ || left == after_) << "neither old nor new after: " << shown.error().text;
  if (left == before_ && deed_.again == Deed::Again::Possible) expect_done_again(files);
}

void DeedTrials::fail_calls_of(std::size_t file) {
  const std::uint64_t calls = count_calls(file);
  for (std::uint64_t nth = 1; nth <= calls && !::testing::Test::HasFailure(); ++nth) {
    SCOPED_TRACE(fmt::format("{}: file {}, call {} of {}", deed_.name, file, nth, calls));
    run({file, FaultyFile::Fault{{}, nth, Times::Once, EIO, Effect::None}});
    run({file, FaultyFile::Fault{{}, nth, Times::ForEver, ENOSPC, Effect::Half}});
  }
  calls_ += calls;
}

}  // namespace

void PrintTo(const Deed& deed, std::ostream* out) { *out << deed.name; }

void fail_every_call(const Deed& deed) {
  DeedTrials trials(deed);
  for (std::size_t file = 0; file < deed.start.size(); ++file) {
    if (deed.start[file]) trials.fail_calls_of(file);
  }
  EXPECT_GT(trials.calls(), 0u);
  add_figure("commands with a failing host call", trials.runs());
  add_figure("host calls that were failed", trials.calls());
}

}  // namespace flatimg::test
