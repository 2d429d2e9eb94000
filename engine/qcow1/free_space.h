// Where new tables and clusters go. The format counts nothing: space is found behind the end of what is used, and what
// is given up can be taken again for as long as the image is open.
//
//   never used --take()--> granted --linked--> in use --release_later()--> unlinked
//       ^                     |                                               | a flush has removed the last mention:
//       |                give_back()                                          v begin_release(), finish_release()
//       +--(not)--        reusable <------------------------------------------+
//
// Invariants:
//   1. What is granted lies behind everything that any table mentioned when the image was opened, or was in use by
//      nothing but what released it. The caller has judged the tables (census.h) before it begins.
//   2. A cluster is reusable only behind the flush that removed its mention, and after its hole has been punched.
//   3. The file grows ahead of what is granted, and reads as zeroes from zero_from_ on until it is written.
//   4. A grant says `durable` when its place in the file has been on stable storage before: a table may mention it in
//      any order with its data, because whatever a crash leaves reads as zeroes, and lies within the file.
#pragma once

#include <vector>

#include "base/ranked_mutex.h"
#include "host/host_file.h"

namespace flatimg::qcow1 {

class FreeSpace {
 public:
  FreeSpace(HostFile& file, ByteCount cluster) : file_(file), cluster_(cluster) {}

  /// Before anything is taken. `used_end`: behind everything that is used.
  Result<void> begin(HostOffset used_end) EXCLUDES(mutex_);

  struct Grant {
    HostRange range;
    bool reads_zero = false;
    bool durable = false;
  };
  /// At least one cluster, at most `wanted`, in one piece. NoSpace when the file cannot grow.
  Result<Grant> take_clusters(std::uint64_t wanted) EXCLUDES(mutex_);
  /// So many bytes in one piece at the end, beginning at a multiple of `alignment` (of clusters, at least).
  Result<Grant> take_at_end(ByteCount bytes, ByteCount alignment) EXCLUDES(mutex_);
  /// Behind everything that was used, at any byte: for compressed streams, which are never released.
  Result<Grant> take_stream(ByteCount bytes) EXCLUDES(mutex_);
  /// What was granted and never mentioned; a stream stays where it is.
  void give_back(HostRange range) EXCLUDES(mutex_);

  /// Behind the edit that removed the last mention.
  void release_later(HostRange range) EXCLUDES(mutex_);

  // --- one flush; by one thread at a time ---
  /// Before the tables are copied.
  void begin_release() EXCLUDES(mutex_);
  /// They are on stable storage, and so is the length of the file.
  void finish_release() EXCLUDES(mutex_);
  void failed() EXCLUDES(mutex_);

  /// Cuts off what was grown and not taken. Nothing is granted any more, and everything is flushed.
  Result<void> trim() EXCLUDES(mutex_);

  [[nodiscard]] HostOffset file_end() const EXCLUDES(mutex_);
  [[nodiscard]] std::size_t pending() const EXCLUDES(mutex_);

 private:
  Result<void> grow_to(HostOffset end) REQUIRES(mutex_);
  [[nodiscard]] Grant reused(std::uint64_t wanted) REQUIRES(mutex_);
  [[nodiscard]] Grant grant(HostRange range) const REQUIRES(mutex_);

  HostFile& file_;
  const ByteCount cluster_;
  mutable Mutex mutex_{Rank::Allocator};
  HostOffset next_ GUARDED_BY(mutex_);       // the end of what was ever used
  HostOffset first_end_ GUARDED_BY(mutex_);  // of the file, when it was opened
  HostOffset zero_from_ GUARDED_BY(mutex_);
  HostOffset file_end_ GUARDED_BY(mutex_);
  HostOffset durable_end_ GUARDED_BY(mutex_);  // the file is at least so long on stable storage
  std::vector<HostRange> reusable_ GUARDED_BY(mutex_);
  std::vector<HostRange> unlinked_ GUARDED_BY(mutex_);
  std::vector<HostRange> releasing_;  // only the one who flushes touches it
  HostOffset flushing_end_;           // the same
};

}  // namespace flatimg::qcow1
