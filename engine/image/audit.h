// Looking for contradictions in the tables of an image while it is in use, a little at a time.
//
// A pass is one Audit: as long as next() names a range, the caller holds that as Use and calls step(). Who calls it
// decides when and how fast (view/disk_audit.h).
#pragma once

#include <memory>

#include "base/range.h"
#include "base/result.h"

namespace flatimg {

class Audit {
 public:
  Audit() = default;
  Audit(const Audit&) = delete;
  Audit& operator=(const Audit&) = delete;
  virtual ~Audit() = default;

  /// What the next step is about; empty when the pass has come to its end.
  [[nodiscard]] virtual GuestRange next() const = 0;
  /// Looks at a bounded number of entries, from the beginning of next(). On an error the pass is over; CorruptImage: a
  /// contradiction, and the image has been declared corrupt.
  virtual Result<void> step() = 0;
};

/// An image that can be audited: an Image is one as well when it says so with this base.
class Audited {
 public:
  /// A pass; nullptr when no table was written since the last one that came to its end. One at a time, of an image that
  /// is open for writing; it ends before the image is closed. Any thread, no lock held.
  virtual Result<std::unique_ptr<Audit>> begin_audit() = 0;

 protected:
  ~Audited() = default;
};

}  // namespace flatimg
