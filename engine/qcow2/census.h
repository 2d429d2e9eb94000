// The census: how often is each host cluster referenced? Found by walking every table of the image: header, L1 and L2
// tables of the active disk and of all snapshots, the clusters that they name, snapshot table, encryption header,
// bitmaps, refcount table and refcount blocks (sheet section 14).
//
// Two callers: the survey (survey.h) compares it with the counters on disk; a rebuild writes new counters from it.
//
// Invariants:
//   1. Reads only, and works on the file itself: no cache, no state of an open image.
//   2. A reference that reaches a whole cluster or more beyond the end of the file is a finding and is not counted, so
//      that memory follows the real size of the file (reference_counts.h).
//      Where such references lie is remembered for the clusters closely behind the file: nobody may put anything there.
//   3. Every distinct table is read once. A table that is referenced k times counts k times for what it names.
#pragma once

#include <algorithm>
#include <vector>

#include "base/progress.h"
#include "image/report.h"
#include "qcow2/layout.h"
#include "qcow2/reference_counts.h"
#include "qcow2/snapshot_table.h"

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
  bool alone = false;  // its cluster is used for nothing else than L1 and L2 tables: may be written
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
    OnlyWhatStays,             // the same, and a new snapshot table replaces the old one
  };

  struct Wanted {
    Scope scope = Scope::Everything;
    Excess excess = Excess::Refuse;
    Progress progress = {};
  };
  /// Walks the image. Fails where the host cannot read, where the snapshot table or the bitmap directory cannot be
  /// understood at all, and with Limit for a file of more than 2^32 clusters. Everything else is a finding.
  static Result<Census> take(HostFile& file, const Header& header, const Wanted& wanted);

  /// References to a host cluster (host offset / cluster size). May be more than the image's counters can hold.
  [[nodiscard]] std::uint64_t expected(std::uint64_t cluster) const { return counts.of(cluster); }
  /// Every cluster of the file, the incomplete last one included, and what is referenced directly behind it.
  [[nodiscard]] std::uint64_t clusters() const { return std::max(file_clusters, counts.end()); }
  /// Whether something that was not counted names this cluster behind the end of the file. True, too, for every
  /// cluster that is too far behind it to know.
  [[nodiscard]] bool named_behind_file(std::uint64_t cluster) const;

  ReferenceCounts counts;
  std::uint64_t file_clusters = 0;
  CheckReport findings;  // damage seen on the way
  ActiveClusters active;
  std::vector<L2Use> l2_tables;  // in the order of the file
  SnapshotTable snapshots;

  /// Remembers how an entry of an active table names a cluster, so that the COPIED flags need a second look only where
  /// they may be wrong.
  void note_naming(std::uint64_t cluster, Naming naming);
  std::uint64_t doubtful_flags = 0;  // flags at clusters outside the file, or of the data file

  // What a repair decides by.
  bool l1_alone = false;               // the active L1 table may be written: see L2Use::alone
  std::uint64_t lost_tables = 0;       // L1 and L2 tables that cannot be read: what they name was not counted
  std::uint64_t refcount_faults = 0;   // places where the refcount structure itself is damaged
  std::uint64_t snapshot_faults = 0;   // entries of the snapshot table that a new table would not have
  std::uint64_t misplaced_zeroes = 0;  // zero clusters that reserve a place which is not the beginning of a cluster
  std::vector<bool> named_behind;      // for clusters from file_clusters on

 private:
  explicit Census(std::uint64_t clusters_of_file);
  void find_tables_alone(const Header& header);
};

}  // namespace flatimg::qcow2
