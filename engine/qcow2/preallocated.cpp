#include "qcow2/preallocated.h"

#include <algorithm>

#include "base/checked.h"
#include "qcow2/counters_on_disk.h"
#include "qcow2/header.h"

namespace flatimg::qcow2 {

Result<bool> looks_preallocated(HostFile& file, const Header& header) {
  TRY(const ByteCount size, file.size());
  TRY(const ByteCount allocated, file.allocated());
  const std::uint64_t clusters = ceil_divide(size.value(), header.cluster().value());
  const std::uint64_t real_clusters = allocated / header.cluster();
  const std::uint64_t threshold = std::max(real_clusters + real_clusters / 9, real_clusters + 2);
  TRY(CountersOnDisk counters, CountersOnDisk::of(file, header));
  std::uint64_t used = 0;
  std::uint64_t cluster = 0;
  while (cluster < clusters && used < threshold) {
    if (!counters.has_block(cluster)) {
      cluster = counters.end_of_block(cluster);
      continue;
    }
    TRY(const auto count, counters.count_of(cluster));
    if (count.value_or(0) != 0) ++used;
    ++cluster;
  }
  return used >= threshold;
}

}  // namespace flatimg::qcow2
