#include "qcow2/stream_space.h"

namespace flatimg::qcow2 {

Result<HostRange> StreamSpace::take(ByteCount length) {
  assert(!length.is_zero() && length < cluster_);
  const MutexLock lock(mutex_);
  if (next_ && *next_ + length <= end_of_cluster(*next_)) return keep_open({*next_, length});
  TRY(const FreeSpace::Grant grant, free_space_.take(1));
  const HostOffset fresh = HostOffset(0) + cluster_ * grant.run.first;
  const std::optional<HostOffset> before = next_;
  const bool goes_on = before && end_of_cluster(*before) == fresh;
  auto taken = keep_open({goes_on ? *before : fresh, length});
  if (!taken) free_space_.give_back(grant);
  if (taken && before && !goes_on) leave(*before);  // where it goes on, the stream has that count
  return taken;
}

// The cluster in which the place ends carries the count of this object, and one more when it stays open.
Result<HostRange> StreamSpace::keep_open(HostRange place) {
  std::optional<HostOffset> next;
  if (!(place.end() % cluster_).is_zero()) {
    const auto shared = free_space_.share(place.end() / cluster_);
    if (!shared && shared.error().kind != ErrorKind::Limit) return Failure(shared.error());
    if (shared) next = place.end();
  }
  next_ = next;
  return place;
}

void StreamSpace::leave(HostOffset at) { free_space_.release_later({at / cluster_, 1}); }

void StreamSpace::give_back(HostRange stream) {
  const std::uint64_t first = stream.begin / cluster_;
  const std::uint64_t last = (stream.end() - 1_B) / cluster_;
  free_space_.release_later({first, last - first + 1});
}

void StreamSpace::close() {
  const MutexLock lock(mutex_);
  if (next_) leave(*next_);
  next_.reset();
}

}  // namespace flatimg::qcow2
