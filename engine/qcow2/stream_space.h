// Places for compressed streams: one behind the other, byte by byte, so that they share clusters.
//
// The counter of a cluster counts the streams that lie in it, in part at least. The cluster in which the next stream
// begins is open: it is counted once more, for this object.
//
// Invariants:
//   1. An open cluster never becomes free, whatever happens to the streams in it.
//   2. A counter that has no room for another stream (refcount_bits=1) ends the cluster: the last stream gets the count
//      of this object.
//   3. A crash leaves an open cluster as a leak, never as a counter that is too low.
#pragma once

#include <optional>

#include "base/range.h"
#include "qcow2/free_space.h"

namespace flatimg::qcow2 {

class StreamSpace {
 public:
  StreamSpace(FreeSpace& free_space, ByteCount cluster) : free_space_(free_space), cluster_(cluster) {}

  /// A place for a stream that is shorter than a cluster; counted. Any thread.
  Result<HostRange> take(ByteCount length) EXCLUDES(mutex_);
  /// What was taken and is not mentioned by any table.
  void give_back(HostRange stream);
  /// Nothing follows: the open cluster loses the extra count, behind the next flush.
  void close() EXCLUDES(mutex_);

 private:
  [[nodiscard]] HostOffset end_of_cluster(HostOffset at) const { return align_down(at, cluster_) + cluster_; }
  Result<HostRange> keep_open(HostRange place) REQUIRES(mutex_);
  void leave(HostOffset at);

  FreeSpace& free_space_;
  const ByteCount cluster_;
  Mutex mutex_{Rank::ImageState};
  std::optional<HostOffset> next_ GUARDED_BY(mutex_);  // where the next stream begins; in the open cluster
};

}  // namespace flatimg::qcow2
