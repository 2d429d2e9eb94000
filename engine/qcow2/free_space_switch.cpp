// FreeSpace: a second refcount structure beside the one in use, and continuing with it.
#include "qcow2/free_space.h"

namespace flatimg::qcow2 {

// Taking space may itself make blocks or move the table, so this goes on until the place is large enough.
Result<FreeSpace::CopyPlace> FreeSpace::take_copy_place() {
  CopyPlace place;
  std::uint64_t blocks = 0;
  const auto take_more = [&]() -> Result<void> {
    for (;;) {
      const auto [table_clusters, wanted] = copy_needs();
      if (place.table.run.count < table_clusters) {
        if (place.table.run.count > 0) give_back(std::exchange(place.table, Grant{}));
        TRY(place.table, take_run(table_clusters));
      } else if (blocks < wanted) {
        TRY(const Grant grant, take(wanted - blocks));
        blocks += grant.run.count;
        place.blocks.push_back(grant);
      } else {
        return {};
      }
    }
  };
  if (auto taken = take_more(); !taken) {
    if (place.table.run.count > 0) give_back(place.table);
    for (const Grant& grant : place.blocks) give_back(grant);
    return Failure(std::move(taken.error()));
  }
  return place;
}

FreeSpace::CopyNeeds FreeSpace::copy_needs() {
  const MutexLock lock(mutex_);
  return {refcounts_.table_clusters().count, refcounts_.blocks()};
}

Result<std::unique_ptr<Refcounts>> FreeSpace::copy_refcounts(const CopyPlace& place, const Header& header,
                                                             ByteCount cache) {
  const MutexLock lock(mutex_);
  std::vector<std::uint64_t> clusters;
  for (const Grant& grant : place.blocks) {
    for (std::uint64_t cluster = grant.run.first; cluster < grant.run.end(); ++cluster) clusters.push_back(cluster);
  }
  CHECK(refcounts_.copy_to(place.table.run, clusters));
  Header moved = header;
  moved.refcount_table = bytes_of(place.table.run).begin;
  moved.refcount_table_clusters = static_cast<std::uint32_t>(place.table.run.count);
  auto copy = std::make_unique<Refcounts>(file_, table_space_, moved, cache);
  CHECK(copy->open(file_clusters_));
  return copy;
}

void FreeSpace::adopt(const Refcounts& copy, std::vector<ClusterRun> freed) {
  {
    const MutexLock lock(mutex_);
    refcounts_.become(copy);
    seen_.reset();  // the tables in use are others now
    for (const ClusterRun& run : freed) {
      for (std::uint64_t cluster = run.first; cluster < run.end(); ++cluster) tables_.erase(cluster);
    }
    for (const ClusterRun& run : refcounts_.own_clusters()) {
      for (std::uint64_t cluster = run.first; cluster < run.end(); ++cluster) tables_.insert(cluster);
    }
  }
  for (const ClusterRun& run : joined(std::move(freed))) punch_and_free(run);
}

}  // namespace flatimg::qcow2
