// One flush's worth of table writes, in three steps with barriers between them.
//
// This file knows bytes and barriers, not reasons. Whoever adds a write names the step, and the format's own text says
// which rule (O1..O4 of the format's README) makes it that step:
//
//   Prepare   nothing on disk points here yet, or it may be ahead of what points here (raised refcounts)
//   Point     makes what was prepared part of the bookkeeping (refcount table entries, header fields)
//   Mention   makes guest-visible tables say something new (L2 and L1 entries), or takes back what nothing mentions
//
// Invariants:
//   1. A write of a later step is issued only when all of the earlier steps are on stable storage.
//   2. Mention waits for a barrier as well when the caller says that data must be there first (fence).
//   3. Adjacent writes of one step become one system call. Bytes are copied when they are added.
#pragma once

#include <array>
#include <vector>

#include "host/host_file.h"

namespace flatimg {

enum class Step : unsigned char { Prepare, Point, Mention };

class WriteOrder {
 public:
  /// Adds a write; ranges added to one order never overlap.
  void add(Step step, HostOffset at, std::span<const std::byte> bytes);

  /// Guest data, or an empty new table, must be on stable storage before anything is mentioned.
  void fence() { fenced_ = true; }

  struct Done {
    unsigned writes = 0;
    unsigned barriers = 0;
  };
  /// Writes it all and ends with a barrier. `data` holds guest data when that is another file, else nullptr.
  /// On an error anything may have been written, in an order that keeps the rules.
  Result<Done> run(HostFile& tables, HostFile* data);

 private:
  struct Write {
    HostOffset at;
    std::size_t begin = 0;  // in bytes_
    std::size_t length = 0;
  };
  Result<unsigned> write_step(HostFile& tables, Step step);
  [[nodiscard]] bool has(Step step) const { return !steps_[static_cast<std::size_t>(step)].empty(); }

  std::array<std::vector<Write>, 3> steps_;
  std::vector<std::byte> bytes_;
  bool fenced_ = false;
};

}  // namespace flatimg
