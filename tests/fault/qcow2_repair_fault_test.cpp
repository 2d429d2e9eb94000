// Every host call of repairs fails, once or from then on: the repair says so or has done its work, the guest reads what
// it read before, and a second repair ends as the first would have.
#include <gtest/gtest.h>

#include <cerrno>

#include "support/faulty_file.h"
#include "support/figures.h"
#include "support/repaired_image.h"

namespace flatimg {
namespace {

using test::FaultyFile;

class Faults {
 public:
  explicit Faults(const test::Damage& damage) : image_(damage) {}

  std::size_t fail_every_call() {
    const std::uint64_t calls = count_calls();
    for (std::uint64_t nth = 1; nth <= calls; ++nth) {
      run({{}, nth, FaultyFile::Times::Once, EIO, FaultyFile::Effect::None});
      run({{}, nth, FaultyFile::Times::ForEver, ENOSPC, FaultyFile::Effect::Half});
      if (::testing::Test::HasFailure()) return nth;
    }
    return calls;
  }

 private:
  std::uint64_t count_calls() {
    FaultyFile file(image_.file());
    EXPECT_TRUE(qcow2::repair(file, RepairScope::All).has_value());
    return file.all_calls();
  }

  void run(const FaultyFile::Fault& fault) {
    SCOPED_TRACE(fmt::format("call {} fails with {}", fault.nth, fault.os_error));
    const std::shared_ptr<test::MemoryFile> inner = image_.file();
    FaultyFile file(inner);
    file.plan(fault);
    const auto repaired = qcow2::repair(file, RepairScope::All);
    EXPECT_FALSE(repaired.has_value() && file.failed(test::Call::Barrier) > 0) << "well after a failed barrier";
    EXPECT_FALSE(repaired.has_value() && file.failed(test::Call::Write) > 0) << "well after a failed write";
    image_.expect_repairable(*inner);
  }

  test::RepairedImage image_;
};

TEST(Qcow2RepairFault, IsReportedAndDoesNoHarm) {
  std::size_t calls = 0;
  for (const test::Damage& damage : test::damages_worth_disturbing(9)) {
    SCOPED_TRACE(damage.name);
    calls += Faults(damage).fail_every_call();
    if (HasFailure()) break;
  }
  test::add_figure("host calls that were failed", calls);
  EXPECT_GT(calls, 500u);
}

}  // namespace
}  // namespace flatimg
