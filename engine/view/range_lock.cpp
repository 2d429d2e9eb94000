#include "view/range_lock.h"

#include <bit>

namespace flatimg {

RangeLock::StripeSet RangeLock::stripes_of(GuestRange range) const {
  const std::uint64_t first = range.begin / kStripe;
  const std::uint64_t last = (range.end() - 1_B) / kStripe;
  if (last - first >= kStripes - 1) return {~std::uint64_t{0}};
  StripeSet set;
  for (std::uint64_t stripe = first; stripe <= last; ++stripe) set.bits |= std::uint64_t{1} << stripe % kStripes;
  return set;
}

void RangeLock::enter(Stripe& stripe, Entry& entry) {
  const MutexLock lock(stripe.mutex);
  Entry** last = &stripe.first;
  while (*last != nullptr) last = &(*last)->next;
  *last = &entry;
  const auto blocked = [&] {
    for (const Entry* earlier = stripe.first; earlier != &entry; earlier = earlier->next) {
      const bool excludes = earlier->mode == Mode::Change || entry.mode == Mode::Change;
      if (excludes && earlier->range.overlaps(entry.range)) return true;
    }
    return false;
  };
  while (blocked()) {
    ++stripe.waiting;
    stripe.changed.wait(stripe.mutex);
    --stripe.waiting;
  }
}

void RangeLock::leave(Stripe& stripe, Entry& entry) {
  const MutexLock lock(stripe.mutex);
  Entry** place = &stripe.first;
  while (*place != &entry) place = &(*place)->next;
  *place = entry.next;
  if (stripe.waiting > 0) stripe.changed.notify_all();
}

RangeLock::Held::Held(RangeLock& lock, GuestRange range, Mode mode)
    : lock_(lock), single_{range.widened_to(lock.unit_), mode, nullptr} {
  stripes_ = lock.stripes_of(single_.range);
  if (std::has_single_bit(stripes_.bits)) {
    lock_.enter(lock_.stripes_[static_cast<std::size_t>(std::countr_zero(stripes_.bits))], single_);
    return;
  }
  many_ = std::make_unique<std::array<Entry, kStripes>>();
  for (std::size_t n = 0; n < kStripes; ++n) {
    if ((stripes_.bits >> n & 1) == 0) continue;
    (*many_)[n] = single_;
    lock_.enter(lock_.stripes_[n], (*many_)[n]);
  }
}

RangeLock::Held::~Held() {
  if (!many_) {
    lock_.leave(lock_.stripes_[static_cast<std::size_t>(std::countr_zero(stripes_.bits))], single_);
    return;
  }
  for (std::size_t n = 0; n < kStripes; ++n) {
    if ((stripes_.bits >> n & 1) != 0) lock_.leave(lock_.stripes_[n], (*many_)[n]);
  }
}

}  // namespace flatimg
