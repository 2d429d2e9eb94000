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

bool RangeLock::blocked(const Stripe& stripe, const Entry& entry) {
  for (const Entry* earlier = stripe.first; earlier != nullptr && earlier != &entry; earlier = earlier->next) {
    const bool excludes = earlier->mode == Mode::Change || entry.mode == Mode::Change;
    if (excludes && earlier->range.overlaps(entry.range)) return true;
  }
  return false;
}

void RangeLock::append(Stripe& stripe, Entry& entry) {
  Entry** last = &stripe.first;
  while (*last != nullptr) last = &(*last)->next;
  *last = &entry;
}

void RangeLock::enter(Stripe& stripe, Entry& entry) {
  const MutexLock lock(stripe.mutex);
  append(stripe, entry);
  while (blocked(stripe, entry)) {
    ++stripe.waiting;
    stripe.changed.wait(stripe.mutex);
    --stripe.waiting;
  }
}

bool RangeLock::enter_if_free(Stripe& stripe, Entry& entry) {
  const MutexLock lock(stripe.mutex);
  if (blocked(stripe, entry)) return false;
  append(stripe, entry);
  return true;
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

RangeLock::Held::Held(RangeLock& lock, GuestRange range, Mode mode, StripeSet entered)
    : lock_(lock), stripes_(entered), single_{range.widened_to(lock.unit_), mode, nullptr} {}

std::unique_ptr<RangeLock::Held> RangeLock::Held::if_free(RangeLock& lock, GuestRange range, Mode mode) {
  std::unique_ptr<Held> held(new Held(lock, range, mode, StripeSet{}));
  const StripeSet wanted = lock.stripes_of(held->single_.range);
  if (!held->enter_if_free(wanted)) return nullptr;  // leaves what it has entered
  return held;
}

bool RangeLock::Held::enter_if_free(StripeSet wanted) {
  if (!std::has_single_bit(wanted.bits)) many_ = std::make_unique<std::array<Entry, kStripes>>();
  for (std::size_t n = 0; n < kStripes; ++n) {
    if ((wanted.bits >> n & 1) == 0) continue;
    Entry& entry = many_ ? (*many_)[n] : single_;
    if (many_) entry = single_;
    if (!lock_.enter_if_free(lock_.stripes_[n], entry)) return false;
    stripes_.bits |= std::uint64_t{1} << n;
  }
  return true;
}

RangeLock::Held::~Held() {
  if (!many_) {
    if (stripes_.bits == 0) return;  // if_free() met somebody
    lock_.leave(lock_.stripes_[static_cast<std::size_t>(std::countr_zero(stripes_.bits))], single_);
    return;
  }
  for (std::size_t n = 0; n < kStripes; ++n) {
    if ((stripes_.bits >> n & 1) != 0) lock_.leave(lock_.stripes_[n], (*many_)[n]);
  }
}

}  // namespace flatimg
