#include "qcow2/table_space.h"

#include "base/checked.h"

namespace flatimg::qcow2 {

namespace {

constexpr ByteCount kPage{4096};

}  // namespace

Result<void> TableSpace::reserve(HostRange range) {
  {
    const MutexLock lock(mutex_);
    if (reserved_.contains(align_down(range.begin, kPage).value())) return {};
  }
  return reserve_new(range);
}

Result<void> TableSpace::reserve_new(HostRange range) {
  const HostRange pages = range.widened_to(kPage);
  TRY(const ByteCount size, file_.size());
  const HostRange inside = intersection(pages, HostRange{HostOffset(0), size});  // reserving must not grow the file
  if (!inside.empty()) CHECK(file_.reserve(inside));
  const MutexLock lock(mutex_);
  reserved_.insert(pages.begin.value());
  return {};
}

}  // namespace flatimg::qcow2
