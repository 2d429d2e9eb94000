#include "qcow1/free_space.h"

#include <algorithm>

#include "base/text.h"

namespace flatimg::qcow1 {

namespace {

constexpr ByteCount kLeastGrowth = 1_MiB;
constexpr ByteCount kMostGrowth = 64_MiB;
constexpr ByteCount kHole{4096};  // what the host can give back by itself

// Sorted, and neighbours joined.
std::vector<HostRange> joined(std::vector<HostRange> ranges) {
  std::ranges::sort(ranges, {}, &HostRange::begin);
  std::vector<HostRange> result;
  for (const HostRange& range : ranges) {
    if (!result.empty() && result.back().end() == range.begin) {
      result.back().length += range.length;
    } else {
      result.push_back(range);
    }
  }
  return result;
}

}  // namespace

Result<void> FreeSpace::begin(HostOffset used_end) {
  TRY(const ByteCount size, file_.size());
  const MutexLock lock(mutex_);
  first_end_ = file_end_ = zero_from_ = durable_end_ = HostOffset(size.value());
  next_ = align_up(used_end, cluster_);
  return {};
}

// In rising steps, so that few flushes have to make a new length durable; exactly when there is room for no more.
Result<void> FreeSpace::grow_to(HostOffset end) {
  if (end <= file_end_) return {};
  if (file_.is_block_device()) return fail(ErrorKind::NoSpace, "{}: the device is full", shown(file_.name()));
  const ByteCount step = std::clamp(ByteCount((file_end_ - HostOffset(0)).value() / 8), kLeastGrowth, kMostGrowth);
  HostOffset wanted = align_up(std::max(end, file_end_ + step), cluster_);
  auto grown = file_.resize(wanted - HostOffset(0));
  if (!grown) {
    wanted = end;
    grown = file_.resize(wanted - HostOffset(0));
  }
  if (grown) file_end_ = wanted;
  return grown;
}

FreeSpace::Grant FreeSpace::grant(HostRange range) const {
  return {range, range.begin >= zero_from_, range.begin >= zero_from_ && range.end() <= durable_end_};
}

// From the last reusable range. Its bytes are whatever they were.
FreeSpace::Grant FreeSpace::reused(std::uint64_t wanted) {
  HostRange& last = reusable_.back();
  const HostRange range = last.first(cluster_ * wanted);
  last = last.without_first(range.length);
  if (last.empty()) reusable_.pop_back();
  return {range};
}

Result<FreeSpace::Grant> FreeSpace::take_clusters(std::uint64_t wanted) {
  const MutexLock lock(mutex_);
  if (!reusable_.empty()) return reused(wanted);
  const HostRange range{align_up(next_, cluster_), cluster_ * wanted};
  CHECK(grow_to(range.end()));
  next_ = range.end();
  return grant(range);
}

Result<FreeSpace::Grant> FreeSpace::take_at_end(ByteCount bytes, ByteCount alignment) {
  const MutexLock lock(mutex_);
  const HostRange range{align_up(next_, std::max(alignment, cluster_)), bytes};
  CHECK(grow_to(range.end()));
  next_ = range.end();
  return grant(range);
}

Result<FreeSpace::Grant> FreeSpace::take_stream(ByteCount bytes) {
  const MutexLock lock(mutex_);
  const HostRange range{next_, bytes};
  CHECK(grow_to(range.end()));
  next_ = range.end();
  return grant(range);
}

void FreeSpace::give_back(HostRange range) {
  const MutexLock lock(mutex_);
  if ((range.begin % cluster_).is_zero() && (range.length % cluster_).is_zero()) reusable_.push_back(range);
}

void FreeSpace::release_later(HostRange range) {
  const MutexLock lock(mutex_);
  unlinked_.push_back(range);
}

void FreeSpace::begin_release() {
  const MutexLock lock(mutex_);
  releasing_ = std::exchange(unlinked_, {});
  flushing_end_ = file_end_;
}

// A hole that cannot be punched costs space, nothing else: the clusters are taken again as they are.
void FreeSpace::finish_release() {
  const auto ranges = joined(std::exchange(releasing_, {}));
  for (const HostRange& range : ranges) {
    const HostOffset begin = align_up(range.begin, kHole);
    const HostOffset end = align_down(range.end(), kHole);
    if (begin < end) (void)file_.zero(HostRange::between(begin, end), Space::Release);
  }
  const MutexLock lock(mutex_);
  durable_end_ = std::max(durable_end_, flushing_end_);
  reusable_.insert(reusable_.end(), ranges.begin(), ranges.end());
}

void FreeSpace::failed() {
  const MutexLock lock(mutex_);
  unlinked_.insert(unlinked_.end(), releasing_.begin(), releasing_.end());
  releasing_.clear();
}

Result<void> FreeSpace::trim() {
  const MutexLock lock(mutex_);
  const HostOffset end = std::max(next_, first_end_);
  if (end >= file_end_) return {};
  CHECK(file_.resize(end - HostOffset(0)));
  file_end_ = end;
  return file_.barrier();
}

HostOffset FreeSpace::file_end() const {
  const MutexLock lock(mutex_);
  return file_end_;
}

std::size_t FreeSpace::pending() const {
  const MutexLock lock(mutex_);
  return unlinked_.size();
}

}  // namespace flatimg::qcow1
