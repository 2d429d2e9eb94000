#include "qcow2/free_space.h"

#include <algorithm>
#include <new>

#include "base/checked.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/out_of_memory.h"

namespace flatimg::qcow2 {

namespace {

constexpr ByteCount kFirstReserve{1u << 20};

}  // namespace

FreeSpace::FreeSpace(HostFile& file, const Header& header, ByteCount cache_budget)
    : file_(file),
      cluster_(header.cluster()),
      table_space_(file),
      refcounts_(file, table_space_, header, cache_budget),
      ahead_(std::clamp<std::uint64_t>(kFirstReserve / header.cluster(), 1, kMostReservedClusters)) {}

Result<void> FreeSpace::open() {
  const MutexLock lock(mutex_);
  TRY(const ByteCount size, file_.size());
  end_ = ceil_divide(size.value(), cluster_.value());
  unknown_end_ = end_;
  file_clusters_ = end_;
  return refcounts_.open(end_);
}

HostRange FreeSpace::bytes_of(ClusterRun run) const {
  return {HostOffset(0) + cluster_ * run.first, cluster_ * run.count};
}

// --- taking ---------------------------------------------------------------------------------------------------------

Result<FreeSpace::Grant> FreeSpace::take(std::uint64_t wanted) {
  const MutexLock lock(mutex_);
  if (reserved_.empty()) CHECK(refill(wanted));
  Grant& first = reserved_.front();
  const Grant grant{{first.run.first, std::min(wanted, first.run.count)}, first.reads_zero};
  first.run = {first.run.first + grant.run.count, first.run.count - grant.run.count};
  if (first.run.count == 0) reserved_.pop_front();
  counts_.granted_total += grant.run.count;
  return grant;
}

Result<FreeSpace::Grant> FreeSpace::take_run(std::uint64_t count) {
  const MutexLock lock(mutex_);
  if (const auto grant = cut_reserved(count)) return *grant;
  TRY(const auto grant, reserve_free(count));
  if (grant) return *grant;
  return append(count);
}

std::optional<FreeSpace::Grant> FreeSpace::cut_reserved(std::uint64_t count) {
  const auto found = std::ranges::find_if(reserved_, [&](const Grant& grant) { return grant.run.count >= count; });
  if (found == reserved_.end()) return std::nullopt;
  const Grant grant{{found->run.first, count}, found->reads_zero};
  found->run = {found->run.first + count, found->run.count - count};
  if (found->run.count == 0) reserved_.erase(found);
  return grant;
}

Result<std::optional<FreeSpace::Grant>> FreeSpace::reserve_free(std::uint64_t count) {
  const auto found = std::ranges::find_if(free_, [&](const ClusterRun& run) { return run.count >= count; });
  if (found == free_.end()) return std::nullopt;
  const ClusterRun run{found->first, count};
  CHECK(reserve(run));
  *found = {run.end(), found->count - count};
  if (found->count == 0) free_.erase(found);
  reserved_.pop_back();  // what reserve() has put there
  return std::optional(Grant{run, false});
}

void FreeSpace::give_back(const Grant& grant) {
  const MutexLock lock(mutex_);
  reserved_.push_front({grant.run, false});  // it may have been written to
}

Result<void> FreeSpace::share(std::uint64_t cluster) {
  const MutexLock lock(mutex_);
  return refcounts_.raise({cluster, 1});
}

Result<void> FreeSpace::refill(std::uint64_t wanted) {
  const std::uint64_t goal = std::max(wanted, ahead_);
  const std::uint64_t most = std::max<std::uint64_t>(1, std::min(kMostReserved / cluster_, kMostReservedClusters));
  ahead_ = std::min(ahead_ * 2, most);
  TRY(const bool reused, refill_from_free(goal));
  if (reused) return {};
  TRY(const bool found, refill_from_file(goal));
  if (found) return {};
  return refill_from_end(wanted);
}

Result<void> FreeSpace::reserve(ClusterRun run) {
  for (std::uint64_t cluster = run.first; cluster < run.end(); ++cluster) {
    if (tables_.contains(cluster)) {
      return fail(ErrorKind::CorruptImage, "{}: host cluster {} is counted as free, but holds a table", file_.name(),
                  cluster);
    }
  }
  reserved_.push_back({run, false});  // first: what has been raised must be known
  Result<void> raised = out_of_memory();
  try {
    raised = refcounts_.raise(run);
  } catch (const std::bad_alloc&) {
    // The answer stands.
  }
  if (raised) {
    note_mentioned(run);
  } else {
    reserved_.pop_back();
  }
  return raised;
}

Result<bool> FreeSpace::refill_from_free(std::uint64_t wanted) {
  bool any = false;
  while (wanted > 0 && !free_.empty()) {
    ClusterRun& run = free_.front();
    const ClusterRun part{run.first, std::min(run.count, wanted)};
    CHECK(reserve(part));
    run = {run.first + part.count, run.count - part.count};
    if (run.count == 0) free_.pop_front();
    wanted -= part.count;
    any = true;
  }
  return any;
}

// Looks for counters that are 0 in the part of the file that nobody has looked at. The work of one call is bounded, so
// that a full image costs a little at each refill and not much at the first.
Result<bool> FreeSpace::refill_from_file(std::uint64_t wanted) {
  constexpr unsigned kMostPages = 256;
  for (unsigned pages = 0; pages < kMostPages && next_unknown_ < unknown_end_; ++pages) {
    TRY(const std::uint64_t used, refcounts_.used_prefix({next_unknown_, unknown_end_ - next_unknown_}));
    next_unknown_ += used;
    if (used > 0) continue;
    const std::uint64_t most = std::min(wanted, unknown_end_ - next_unknown_);
    TRY(const std::uint64_t unused, refcounts_.free_prefix({next_unknown_, most}));
    const ClusterRun run = not_being_punched({next_unknown_, unused});
    if (run.first > next_unknown_) {  // the one who punches it makes it free
      next_unknown_ = run.first;
      continue;
    }
    if (!refcounts_.has_block(run.first / refcounts_.counters_per_block())) {
      next_unknown_ += run.count;  // a hole in the bookkeeping: not worth a new block
      continue;
    }
    CHECK(reserve(run));
    next_unknown_ += run.count;
    return true;
  }
  return false;
}

// The beginning of the run as far as nobody punches it; what lies behind such a part when it begins with one.
ClusterRun FreeSpace::not_being_punched(ClusterRun run) const {
  for (const ClusterRun& one : punching_) {
    if (one.first <= run.first && run.first < one.end()) return {one.end(), 0};
    if (one.first > run.first && one.first < run.end()) run.count = one.first - run.first;
  }
  return run;
}

Result<void> FreeSpace::refill_from_end(std::uint64_t wanted) {
  const std::uint64_t goal = std::max(wanted, ahead_ / 2);
  auto appended = append(goal);
  for (const std::uint64_t less : {wanted, std::uint64_t{1}}) {
    if (appended || appended.error().kind != ErrorKind::NoSpace || less >= goal) continue;
    appended = append(less);
  }
  if (!appended) return Failure(std::move(appended.error()));
  reserved_.push_back(*appended);
  return {};
}

// --- growing --------------------------------------------------------------------------------------------------------

// After a crash clusters beyond the end of the file may be counted: they are leaks, and stay so.
Result<void> FreeSpace::skip_counted_end() {
  if (end_known_) return {};
  const std::uint64_t covered = refcounts_.table_entries() * refcounts_.counters_per_block();
  for (std::uint64_t cluster = end_; cluster < covered;) {
    const std::uint64_t block = cluster / refcounts_.counters_per_block();
    if (!refcounts_.has_block(block)) {
      cluster = (block + 1) * refcounts_.counters_per_block();
      continue;
    }
    TRY(const std::uint64_t unused, refcounts_.free_prefix({cluster, covered - cluster}));
    cluster += unused;
    if (unused > 0) continue;
    TRY(const std::uint64_t used, refcounts_.used_prefix({cluster, covered - cluster}));
    cluster += used;
    end_ = cluster;
  }
  end_known_ = true;
  return {};
}

// Blocks and a larger table lie in front of the new run, and need counters themselves: computed until it agrees.
FreeSpace::Plan FreeSpace::plan_append(std::uint64_t wanted) {
  Plan plan;
  for (;;) {
    const std::uint64_t last_block = (end_ + plan.overhead() + wanted - 1) / refcounts_.counters_per_block();
    Plan next;
    for (std::uint64_t block = end_ / refcounts_.counters_per_block(); block <= last_block; ++block) {
      if (!refcounts_.has_block(block)) next.blocks.push_back(block);
    }
    if (last_block >= refcounts_.table_entries()) {
      const std::uint64_t entries = std::max(last_block + 1, refcounts_.table_entries() * 3 / 2);
      next.table_clusters = std::max(plan.table_clusters, ceil_divide(entries * 8, cluster_.value()));
    }
    if (next.overhead() == plan.overhead()) return next;
    plan = next;
  }
}

Result<void> FreeSpace::grow_file(std::uint64_t clusters) {
  const ByteCount needed = cluster_ * clusters;
  TRY(const ByteCount size, file_.size());
  if (size >= needed) return {};
  if (file_.is_block_device()) {
    return fail(ErrorKind::NoSpace, "{}: the device is full", file_.name());
  }
  CHECK(file_.resize(needed));
  file_clusters_ = clusters;
  return {};
}

// What the plan puts at the end of the file, and the table's entries for new blocks where the table stays.
Result<void> FreeSpace::reserve_tables(const Plan& plan) {
  if (plan.overhead() > 0) CHECK(table_space_.reserve_new(bytes_of({end_, plan.overhead()})));
  if (plan.table_clusters > 0) return {};
  for (const std::uint64_t block : plan.blocks) CHECK(table_space_.reserve(refcounts_.entry_of(block)));
  return {};
}

Result<FreeSpace::Grant> FreeSpace::append(std::uint64_t wanted) {
  CHECK(skip_counted_end());
  const Plan plan = plan_append(wanted);
  if (cluster_ * plan.table_clusters > limits::kQcow2RefcountTable) {
    return fail(ErrorKind::NoSpace, "{}: the refcount table cannot grow further", file_.name());
  }
  const std::uint64_t first = end_;
  const ClusterRun all{first, plan.overhead() + wanted};
  CHECK(grow_file(all.end()));
  CHECK(reserve_tables(plan));
  if (file_.is_block_device()) CHECK(file_.zero(bytes_of({first, plan.overhead()}), Space::Keep));

  const ClusterRun old_table = refcounts_.table_clusters();
  pending_.reserve(pending_.size() + 1);
  bool table_moved = false;
  Result<void> raised = out_of_memory();
  try {
    for (std::uint64_t cluster = first; cluster < first + plan.overhead(); ++cluster) tables_.insert(cluster);
    if (plan.table_clusters > 0) refcounts_.move_table({first + plan.blocks.size(), plan.table_clusters});
    table_moved = plan.table_clusters > 0;
    std::uint64_t place = first;
    for (const std::uint64_t block : plan.blocks) refcounts_.add_block(block, place++);
    raised = refcounts_.raise(all);
  } catch (const std::bad_alloc&) {
    // The answer stands.
  }
  if (!raised) {
    // Nothing of this has been written, because collect() takes our mutex.
    if (table_moved || plan.table_clusters == 0) {
      for (const std::uint64_t block : plan.blocks) refcounts_.remove_block(block);
    }
    if (table_moved) refcounts_.undo_move_table(old_table);
    for (std::uint64_t cluster = first; cluster < first + plan.overhead(); ++cluster) tables_.erase(cluster);
    return Failure(std::move(raised.error()));
  }
  if (plan.table_clusters > 0) {
    pending_.push_back(old_table);
    pending_clusters_ += old_table.count;
  }
  end_ = all.end();
  note_mentioned(all);
  return Grant{{first + plan.overhead(), wanted}, !file_.is_block_device()};
}

// --- releasing ------------------------------------------------------------------------------------------------------

void FreeSpace::release_later(ClusterRun run) {
  const MutexLock lock(mutex_);
  if (!pending_.empty() && pending_.back().end() == run.first) {
    pending_.back().count += run.count;  // may hold a cluster twice only as two entries
  } else {
    pending_.push_back(run);
  }
  pending_clusters_ += run.count;
  note_mentioned(run);
}

FreeSpace::Pending FreeSpace::begin_release() {
  const MutexLock lock(mutex_);
  return std::exchange(pending_, {});
}

void FreeSpace::collect(WriteOrder& order) {
  const MutexLock lock(mutex_);
  refcounts_.collect(order);
}

void FreeSpace::written() {
  const MutexLock lock(mutex_);
  refcounts_.written();
}

void FreeSpace::failed(Pending pending) {
  {
    const MutexLock lock(mutex_);
    refcounts_.failed();
  }
  keep(std::move(pending));
}

void FreeSpace::keep(Pending pending) {
  const MutexLock lock(mutex_);
  if (pending_.empty()) {
    pending_ = std::move(pending);  // needs no memory
  } else {
    pending_.insert(pending_.begin(), pending.begin(), pending.end());
  }
}

// Sorted, and neighbours joined, so that one punch gives much back. A cluster that is named twice stays so.
FreeSpace::Pending FreeSpace::joined(Pending runs) {
  std::sort(runs.begin(), runs.end(), [](ClusterRun a, ClusterRun b) { return a.first < b.first; });
  constexpr std::uint64_t kMostAtOnce = 1u << 15;  // what one step lowers, and therefore keeps in memory
  FreeSpace::Pending result;
  for (const ClusterRun& run : runs) {
    if (!result.empty() && result.back().end() == run.first && result.back().count + run.count <= kMostAtOnce) {
      result.back().count += run.count;
    } else {
      result.push_back(run);
    }
  }
  return result;
}

Result<void> FreeSpace::finish_release(Pending pending) {
  pending = joined(std::move(pending));
  for (std::size_t next = 0; next < pending.size(); ++next) {
    const ClusterRun run = pending[next];
    std::vector<ClusterRun> freed;
    {
      const MutexLock lock(mutex_);
      punching_.reserve(punching_.size() + run.count);
      auto lowered = refcounts_.lower(run);
      if (!lowered) {  // what is left waits for the next flush
        pending_.insert(pending_.end(), pending.begin() + static_cast<std::ptrdiff_t>(next), pending.end());
        return Failure(std::move(lowered.error()));
      }
      freed = *std::move(lowered);
      punching_.insert(punching_.end(), freed.begin(), freed.end());
      for (const ClusterRun& part : freed) {
        if (seen_) seen_->forget(part);
        for (std::uint64_t cluster = part.first; cluster < part.end(); ++cluster) tables_.erase(cluster);
      }
    }
    pending_clusters_ -= run.count;
    for (const ClusterRun& part : freed) punch_and_free(part);
  }
  return {};
}

// Nothing mentions the run, on disk or in memory, and its counters are 0 (the free rule).
void FreeSpace::punch_and_free(ClusterRun run) {
  if (auto punched = file_.zero(bytes_of(run), Space::Release); !punched) {
    log(LogLevel::Warning, "giving freed space back: {}", punched.error().text);
  }
  const MutexLock lock(mutex_);
  counts_.released_total += run.count;
  free_.push_back(run);
  std::erase_if(punching_, [&](const ClusterRun& one) { return one.first == run.first; });
}

Result<void> FreeSpace::return_reserved() {
  const MutexLock lock(mutex_);
  while (!reserved_.empty()) {
    TRY(const auto freed, refcounts_.lower(reserved_.front().run));
    reserved_.pop_front();  // before memory may end: it must not be lowered again
    free_.insert(free_.end(), freed.begin(), freed.end());
  }
  return {};
}

Result<void> FreeSpace::trim_file() {
  const MutexLock lock(mutex_);
  if (file_.is_block_device()) return {};
  CHECK(skip_counted_end());
  std::sort(free_.begin(), free_.end(), [](ClusterRun a, ClusterRun b) { return a.first < b.first; });
  while (!free_.empty() && free_.back().end() == end_) {
    end_ = free_.back().first;
    free_.pop_back();
  }
  TRY(const ByteCount size, file_.size());
  if (size <= cluster_ * end_) return {};
  CHECK(file_.resize(cluster_ * end_));
  file_clusters_ = end_;
  return file_.barrier();
}

// --- tables ---------------------------------------------------------------------------------------------------------

void FreeSpace::protect(ClusterRun run) {
  const MutexLock lock(mutex_);
  for (std::uint64_t cluster = run.first; cluster < run.end(); ++cluster) tables_.insert(cluster);
}

void FreeSpace::protect_refcounts() {
  const MutexLock lock(mutex_);
  for (const ClusterRun& run : refcounts_.own_clusters()) {
    for (std::uint64_t cluster = run.first; cluster < run.end(); ++cluster) tables_.insert(cluster);
  }
}

std::vector<ClusterRun> FreeSpace::refcount_clusters() {
  const MutexLock lock(mutex_);
  return refcounts_.own_clusters();
}

bool FreeSpace::may_hold_data(ClusterRun run) {
  const MutexLock lock(mutex_);
  for (std::uint64_t cluster = run.first; cluster < run.end(); ++cluster) {
    if (tables_.contains(cluster)) return false;
  }
  return true;
}

FreeSpace::Counts FreeSpace::counts() {
  const MutexLock lock(mutex_);
  Counts counts = counts_;
  for (const Grant& grant : reserved_) counts.reserved += grant.run.count;
  for (const ClusterRun& run : free_) counts.free += run.count;
  counts.pending = pending_clusters_;
  counts.cache = refcounts_.cache_counts();
  return counts;
}

}  // namespace flatimg::qcow2
