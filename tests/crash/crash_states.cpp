#include "crash/crash_states.h"

#include <algorithm>

namespace flatimg::test {

namespace {

constexpr std::size_t kAllSubsetsUpTo = 6;

void apply(MemoryFile& file, const Operation& operation, std::size_t keep_bytes) {
  switch (operation.kind) {
    case Operation::Kind::Write:
      (void)file.write(operation.where.begin, std::span<const std::byte>(operation.bytes).first(keep_bytes));
      break;
    case Operation::Kind::Zero:
      (void)file.zero(operation.where, operation.space);
      break;
    case Operation::Kind::Reserve:
      (void)file.reserve(operation.where);
      break;
    case Operation::Kind::Resize:
      (void)file.resize(operation.where.length);
      break;
    case Operation::Kind::Barrier:
      break;
  }
}

class Epoch {
 public:
  Epoch(const MemoryFile& before, const std::vector<Operation>& operations, std::size_t covered, std::size_t end)
      : before_(before), operations_(operations), covered_(covered), end_(end) {}

  [[nodiscard]] std::size_t size() const { return end_ - covered_; }

  /// `tear` decides how much of each write survives; nullptr: all of it.
  CrashState state(const std::vector<bool>& survives, std::mt19937_64* tear) const {
    CrashState state{before_.copy(), covered_, end_};
    for (std::size_t n = 0; n < size(); ++n) {
      if (!survives[n]) continue;
      const Operation& operation = operations_[covered_ + n];
      std::size_t keep = operation.bytes.size();
      if (tear != nullptr && keep > 512 && (*tear)() % 2 == 0) {
        // Tears happen at sectors of the file.
        const std::size_t to_border = (512 - operation.where.begin.value() % 512) % 512;
        keep = std::min(keep, to_border + 512 * ((*tear)() % ((keep - std::min(keep, to_border)) / 512 + 1)));
      }
      apply(*state.file, operation, keep);
    }
    return state;
  }

 private:
  const MemoryFile& before_;
  const std::vector<Operation>& operations_;
  std::size_t covered_;
  std::size_t end_;
};

bool judge_epoch(const Epoch& epoch, unsigned random_states, std::mt19937_64& random,
                 const std::function<bool(CrashState)>& judge) {
  const std::size_t n = epoch.size();
  if (n <= kAllSubsetsUpTo) {
    for (std::size_t bits = 0; bits < std::size_t{1} << n; ++bits) {
      std::vector<bool> survives(n);
      for (std::size_t i = 0; i < n; ++i) survives[i] = (bits >> i & 1) != 0;
      if (!judge(epoch.state(survives, nullptr))) return false;
    }
  } else {
    for (std::size_t i = 0; i <= n; ++i) {
      std::vector<bool> prefix(n);
      std::fill_n(prefix.begin(), i, true);
      if (!judge(epoch.state(prefix, nullptr))) return false;
      if (i == n) break;
      std::vector<bool> all_but(n, true);
      all_but[i] = false;
      if (!judge(epoch.state(all_but, nullptr))) return false;
      std::vector<bool> only(n);
      only[i] = true;
      if (!judge(epoch.state(only, nullptr))) return false;
    }
  }
  for (unsigned i = 0; i < random_states && n > 0; ++i) {
    std::vector<bool> some(n);
    for (std::size_t k = 0; k < n; ++k) some[k] = random() % 2 == 0;
    if (!judge(epoch.state(some, &random))) return false;
  }
  return true;
}

}  // namespace

void for_each_crash_state(const MemoryFile& start, const std::vector<Operation>& operations, unsigned random_states,
                          std::mt19937_64& random, const std::function<bool(CrashState)>& judge) {
  auto covered_state = start.copy();
  std::size_t covered = 0;
  for (std::size_t n = 0; n <= operations.size(); ++n) {
    if (n < operations.size() && operations[n].kind != Operation::Kind::Barrier) continue;
    if (!judge_epoch(Epoch(*covered_state, operations, covered, n), random_states, random, judge)) return;
    for (; covered < n; ++covered) apply(*covered_state, operations[covered], operations[covered].bytes.size());
    if (covered < operations.size()) ++covered;  // the barrier itself
  }
}

}  // namespace flatimg::test
