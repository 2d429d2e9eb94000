// Looking at the tables of a disk's images for contradictions, one step at a time, without being in anybody's way.
//
// Invariants:
//   1. A step waits for nobody: where the range that it needs is being changed, it is not made.
//   2. The images of a disk of parts are looked at one after the other.
//   3. It is used by one thread, and goes before the disk is closed.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "image/audit.h"
#include "view/disk.h"

namespace flatimg {

class DiskAudit {
 public:
  using Clock = std::chrono::steady_clock;
  /// Between the end of one pass and the beginning of the next, if anything has been written meanwhile.
  static constexpr std::chrono::minutes kBetweenPasses{10};

  explicit DiskAudit(Disk& disk);
  ~DiskAudit();

  enum class Step {
    Nothing,   // there is nothing to look at now
    InTheWay,  // somebody changes just that
    Made,
  };
  /// Makes a step, beginning a pass where one is due. What goes wrong ends the pass, and is logged.
  Step step(Clock::time_point now);
  /// How many passes ended early, for whatever reason.
  [[nodiscard]] std::uint64_t failures() const { return failures_; }

 private:
  [[nodiscard]] bool begin_pass(Clock::time_point now);
  Step continue_pass(Clock::time_point now);

  Disk& disk_;
  Audited* audited_;                               // nullptr: the image has nothing to look at
  std::vector<std::unique_ptr<DiskAudit>> parts_;  // of a disk that is made of others
  std::unique_ptr<Audit> pass_;
  Clock::time_point not_before_;
  std::uint64_t failures_ = 0;
};

}  // namespace flatimg
