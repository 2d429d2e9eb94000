// FreeSpace: what the counters say of clusters that entries name, for an audit (table_audit.h).
//
// Everything here holds the mutex of the allocator while it looks: a page of counters that is not in memory equals the
// disk then, and is read into the caller's memory, so that an audit pushes nothing out of the cache.
#include "qcow2/free_space.h"

namespace flatimg::qcow2 {

void FreeSpace::begin_audit(ClusterRun window) {
  const MutexLock lock(mutex_);
  seen_.emplace(window);
  for (const Grant& grant : reserved_) seen_->note_mentioned(grant.run);
  for (const ClusterRun& run : pending_) seen_->note_mentioned(run);
}

void FreeSpace::end_audit() {
  const MutexLock lock(mutex_);
  seen_.reset();
}

Result<FreeSpace::AuditedMentions> FreeSpace::audit(std::span<const Mention> mentions, QuietPage& page) {
  constexpr unsigned kMostReads = 2;  // under the mutex; a mention may need two
  const MutexLock lock(mutex_);
  AuditedMentions done;
  if (!seen_) {
    done.aborted = true;
    return done;
  }
  page.begin();
  while (done.judged < mentions.size() && page.reads() < kMostReads) {
    TRY(done.contradiction, contradiction_of(mentions[done.judged], page));
    if (!done.contradiction.empty()) return done;
    ++done.judged;
  }
  return done;
}

// All of it is judged before any of it is noted: whoever asks again about a mention that contradicts gets that answer.
Result<std::string> FreeSpace::contradiction_of(const Mention& mention, QuietPage& page) {
  for (std::uint64_t cluster = mention.run.first; cluster < mention.run.end(); ++cluster) {
    TRY(const std::uint64_t count, refcounts_.count_quietly(cluster, page));
    if (count == 0) return fmt::format("host cluster {}, which is counted as free", cluster);
    if (mention.own && count != 1) {
      return fmt::format("host cluster {} as its own, which is counted {} times", cluster, count);
    }
    if (mention.by == Mention::By::L1Table) continue;  // is protected because of that
    // Counted for both, as a repair leaves it, nothing comes to harm as long as nobody writes there.
    if ((mention.own || count == 1) && tables_.contains(cluster)) {
      return fmt::format("host cluster {}, which holds a table", cluster);
    }
    if (count == 1 && seen_->is_alone(cluster)) {
      return fmt::format("host cluster {}, which another entry names, too, and which is counted once", cluster);
    }
  }
  CHECK(note_seen(mention, page));
  return std::string();
}

Result<void> FreeSpace::note_seen(const Mention& mention, QuietPage& page) {
  seen_->note_mentioned(mention.run);
  if (mention.by == Mention::By::L1Table) return {};
  for (std::uint64_t cluster = mention.run.first; cluster < mention.run.end(); ++cluster) {
    TRY(const std::uint64_t count, refcounts_.count_quietly(cluster, page));
    if (count == 1) seen_->note_alone(cluster);
  }
  return {};
}

Result<FreeSpace::CountedLeaks> FreeSpace::count_leaks(std::uint64_t from, QuietPage& page) {
  constexpr std::uint64_t kMostClusters = 2048;
  const MutexLock lock(mutex_);
  CountedLeaks counted{.next = from};
  counted.aborted = !seen_;
  if (counted.aborted) return counted;
  page.begin();
  const std::uint64_t end = std::min(seen_->window().end(), from + kMostClusters);
  for (; counted.next < end && page.reads() < 2; ++counted.next) {
    TRY(const std::uint64_t count, refcounts_.count_quietly(counted.next, page));
    if (count > 0 && !seen_->is_mentioned(counted.next) && !tables_.contains(counted.next)) ++counted.leaks;
  }
  return counted;
}

}  // namespace flatimg::qcow2
