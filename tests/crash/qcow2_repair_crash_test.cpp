// Power cuts in the middle of repairs: whatever subset of the unsynced writes survives, the guest reads what it read
// before, and the repair can be done again and ends the same.
#include <gtest/gtest.h>

#include "crash/crash_states.h"
#include "support/figures.h"
#include "support/repaired_image.h"

namespace flatimg {
namespace {

class Crashes {
 public:
  explicit Crashes(const test::Damage& damage) : image_(damage) {}

  std::size_t enumerate() {
    const std::vector<test::Operation> operations = record();
    std::mt19937_64 random(7);
    std::size_t states = 0;
    test::for_each_crash_state({image_.file().get()}, operations, {}, random, [&](test::CrashState state) {
      ++states;
      image_.expect_repairable(state.file());
      return !::testing::Test::HasFailure();
    });
    return states;
  }

 private:
  std::vector<test::Operation> record() {
    const auto recording = std::make_shared<test::Recording>();
    test::RecordingFile file(image_.file(), recording);
    EXPECT_TRUE(qcow2::repair(file, RepairScope::All).has_value());
    return recording->operations();
  }

  test::RepairedImage image_;
};

TEST(Qcow2RepairCrash, LeavesAnImageThatCanBeRepairedAgain) {
  std::size_t states = 0;
  for (const test::Damage& damage : test::damages_worth_disturbing(3)) {
    SCOPED_TRACE(damage.name);
    states += Crashes(damage).enumerate();
    if (HasFailure()) break;
  }
  test::add_figure("crash states", states);
  EXPECT_GT(states, 1000u);
}

// The switch to new refcounts is one write: with the old header nothing has changed, with the new one all is there.
TEST(Qcow2RepairCrash, SwitchesToNewRefcountsAtOnce) {
  const std::vector<test::Damage> damages = test::damages_worth_disturbing(1);
  const auto rebuilt = std::find_if(damages.begin(), damages.end(),
                                    [](const test::Damage& damage) { return damage.name == "no refcount block"; });
  ASSERT_NE(rebuilt, damages.end());
  const test::RepairedImage image(*rebuilt);
  const auto recording = std::make_shared<test::Recording>();
  test::RecordingFile file(image.file(), recording);
  ASSERT_TRUE(qcow2::repair(file, RepairScope::All).has_value());
  std::size_t header_writes = 0;
  for (const test::Operation& operation : recording->operations()) {
    const bool write = operation.kind == test::Operation::Kind::Write;
    if (write && operation.where.begin.value() < 512) ++header_writes;
    EXPECT_TRUE(header_writes > 0 || !write || operation.where.begin.value() >= damaged_image(*rebuilt).end())
        << "written over the image before the switch";
  }
  EXPECT_EQ(header_writes, 1u);
}

}  // namespace
}  // namespace flatimg
