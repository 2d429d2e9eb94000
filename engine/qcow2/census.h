// The census: how often is each host cluster referenced? Found by walking every table of the image: header, L1 and L2
// tables of the active disk and of all snapshots, the clusters that they name, snapshot table, encryption header,
// bitmaps, refcount table and refcount blocks (sheet section 14).
//
// Two callers: check (check.h) compares it with the counters on disk; the rebuild of an image with the dirty bit writes
// new counters from it.
//
// Invariants:
//   1. Reads only, and works on the file itself: no cache, no state of an open image.
//   2. A reference that reaches a whole cluster or more beyond the end of the file is a finding and is not counted, so
//      that memory follows the real size of the file (reference_counts.h).
//   3. Every distinct table is read once. A table that is referenced k times counts k times for what it names.
#pragma once

#include <algorithm>
#include <vector>

#include "qcow2/findings.h"
#include "qcow2/layout.h"
#include "qcow2/reference_counts.h"

namespace flatimg {
class HostFile;
}

namespace flatimg::qcow2 {

struct Header;

/// An L2 table and how many L1 entries name it.
struct L2Use {
  HostOffset at;  // a multiple of 512 bytes; of the cluster size unless the image is damaged
  std::uint64_t by_active = 0;
  std::uint64_t by_snapshots = 0;
  [[nodiscard]] std::uint64_t all() const { return by_active + by_snapshots; }
};

/// Clusters of the active disk.
struct ActiveClusters {
  std::uint64_t allocated = 0;   // with host space, compressed ones included
  std::uint64_t fragmented = 0;  // not right behind the one before in the same L2 table; every compressed one
  std::uint64_t compressed = 0;
};

class Census {
 public:
  /// What is counted beside the guest's data and the tables that map it.
  enum class Scope {
    Everything,
    WithoutRefcountStructure,  // for a rebuild, which leaves the old refcount table and blocks behind
  };

  /// Walks the image. Fails where the host cannot read, where the snapshot table or the bitmap directory cannot be
  /// understood at all, and with Limit for a file of more than 2^32 clusters. Everything else is a finding.
  static Result<Census> take(HostFile& file, const Header& header, Scope scope = Scope::Everything);

  /// References to a host cluster (host offset / cluster size). May be more than the image's counters can hold.
  [[nodiscard]] std::uint64_t expected(std::uint64_t cluster) const { return counts.of(cluster); }
  /// Every cluster of the file, the incomplete last one included, and what is referenced directly behind it.
  [[nodiscard]] std::uint64_t clusters() const { return std::max(file_clusters, counts.end()); }

  ReferenceCounts counts;
  std::uint64_t file_clusters = 0;
  Findings findings;  // damage seen on the way, in the classes of qemu-img check
  ActiveClusters active;
  std::vector<L2Use> l2_tables;  // in the order of the file

 private:
  explicit Census(std::uint64_t clusters_of_file);
};

}  // namespace flatimg::qcow2
