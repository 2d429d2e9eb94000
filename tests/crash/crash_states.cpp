#include "crash/crash_states.h"

#include <algorithm>

namespace flatimg::test {

namespace {

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

// Where a write may be cut: sectors of the file, not of the write.
std::vector<std::size_t> cuts_of(const Operation& operation) {
  std::vector<std::size_t> cuts;
  const std::size_t to_border = (512 - operation.where.begin.value() % 512) % 512;
  for (std::size_t at = to_border; at < operation.bytes.size(); at += 512) {
    if (at > 0) cuts.push_back(at);
  }
  return cuts;
}

using Files = std::vector<std::unique_ptr<MemoryFile>>;

Files copies_of(const Files& files) {
  Files copies;
  for (const auto& file : files) copies.push_back(file->copy());
  return copies;
}

// What may have happened since the barriers so far, on top of what they cover.
class Epoch {
 public:
  Epoch(const Files& covered, const std::vector<Operation>& operations, const std::vector<std::size_t>& open,
        std::size_t end)
      : covered_(covered), operations_(operations), open_(open), end_(end) {}

  [[nodiscard]] std::size_t size() const { return open_.size(); }
  [[nodiscard]] const Operation& operation(std::size_t n) const { return operations_[open_[n]]; }

  /// `kept` has, for each open operation, how many of its bytes survive; nullopt: it has not happened at all.
  using Kept = std::vector<std::optional<std::size_t>>;
  [[nodiscard]] CrashState state(const Kept& kept) const {
    CrashState state{copies_of(covered_), open_.empty() ? end_ : open_.front(), end_};
    for (std::size_t n = 0; n < size(); ++n) {
      if (kept[n]) apply(*state.files[operation(n).file], operation(n), *kept[n]);
    }
    return state;
  }
  [[nodiscard]] Kept all() const {
    Kept kept;
    for (std::size_t n = 0; n < size(); ++n) kept.emplace_back(operation(n).bytes.size());
    return kept;
  }
  [[nodiscard]] Kept none() const { return Kept(size()); }

 private:
  const Files& covered_;
  const std::vector<Operation>& operations_;
  const std::vector<std::size_t>& open_;
  std::size_t end_;
};

bool judge_all_subsets(const Epoch& epoch, const JudgeCrash& judge) {
  for (std::size_t bits = 0; bits < std::size_t{1} << epoch.size(); ++bits) {
    Epoch::Kept kept = epoch.all();
    for (std::size_t n = 0; n < kept.size(); ++n) {
      if ((bits >> n & 1) == 0) kept[n].reset();
    }
    if (!judge(epoch.state(kept))) return false;
  }
  return true;
}

bool judge_telling_subsets(const Epoch& epoch, const JudgeCrash& judge) {
  const Epoch::Kept all = epoch.all();
  Epoch::Kept prefix = epoch.none();
  for (std::size_t n = 0; n < epoch.size(); ++n) {
    if (!judge(epoch.state(prefix))) return false;
    prefix[n] = all[n];
    Epoch::Kept all_but = all;
    all_but[n].reset();
    if (!judge(epoch.state(all_but))) return false;
    Epoch::Kept only = epoch.none();
    only[n] = all[n];
    if (!judge(epoch.state(only))) return false;
  }
  return judge(epoch.state(all));
}

bool judge_random_states(const Epoch& epoch, unsigned states, std::mt19937_64& random, const JudgeCrash& judge) {
  for (unsigned i = 0; i < states && epoch.size() > 0; ++i) {
    Epoch::Kept some = epoch.all();
    for (std::size_t n = 0; n < some.size(); ++n) {
      const auto cuts = cuts_of(epoch.operation(n));
      if (random() % 2 == 0) {
        some[n].reset();
      } else if (!cuts.empty() && random() % 2 == 0) {
        some[n] = cuts[random() % cuts.size()];
      }
    }
    if (!judge(epoch.state(some))) return false;
  }
  return true;
}

bool judge_torn_writes(const Epoch& epoch, unsigned most_cuts, const JudgeCrash& judge) {
  for (std::size_t n = 0; most_cuts > 0 && n < epoch.size(); ++n) {
    const auto cuts = cuts_of(epoch.operation(n));
    const std::size_t step = std::max<std::size_t>(1, cuts.size() / most_cuts);
    for (std::size_t cut = 0; cut < cuts.size(); cut += step) {
      Epoch::Kept kept = epoch.all();
      kept[n] = cuts[cut];
      if (!judge(epoch.state(kept))) return false;
    }
  }
  return true;
}

bool judge_epoch(const Epoch& epoch, const CrashSearch& search, std::mt19937_64& random, const JudgeCrash& judge) {
  const bool few = epoch.size() <= search.all_subsets_up_to;
  return (few ? judge_all_subsets(epoch, judge) : judge_telling_subsets(epoch, judge)) &&
         judge_torn_writes(epoch, search.cuts, judge) &&
         judge_random_states(epoch, search.random_states, random, judge);
}

}  // namespace

void for_each_crash_state(const std::vector<const MemoryFile*>& starts, const std::vector<Operation>& operations,
                          const CrashSearch& search, std::mt19937_64& random, const JudgeCrash& judge) {
  Files covered;
  for (const MemoryFile* start : starts) covered.push_back(start->copy());
  std::vector<std::size_t> open;
  for (std::size_t n = 0; n <= operations.size(); ++n) {
    if (n < operations.size() && operations[n].kind != Operation::Kind::Barrier) {
      open.push_back(n);
      continue;
    }
    if (!judge_epoch(Epoch(covered, operations, open, n), search, random, judge)) return;
    if (n == operations.size()) return;
    std::erase_if(open, [&](std::size_t done) {
      if (operations[done].file != operations[n].file) return false;
      apply(*covered[operations[done].file], operations[done], operations[done].bytes.size());
      return true;
    });
  }
}

}  // namespace flatimg::test
