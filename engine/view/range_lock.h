// The map lock: ranges of the guest, held as Use ("I rely on an answer of map() until my last byte has moved") or as
// Change ("I change what map() answers").
//
// Use shares with Use; Change excludes both. Ranges are rounded to the format's unit. The disk is cut into stripes,
// each with a list of its own in order of arrival: a range is granted when nothing that came earlier conflicts with it,
// so nobody starves. A range that touches several stripes takes them in rising order and a thread holds one range at a
// time, so no two can wait for each other.
#pragma once

#include <array>
#include <memory>

#include "base/range.h"
#include "base/ranked_mutex.h"

namespace flatimg {

class RangeLock {
 public:
  enum class Mode : unsigned char { Use, Change };

  explicit RangeLock(ByteCount unit) : unit_(unit) {}

  class Held;

 private:
  static constexpr std::size_t kStripes = 64;
  static constexpr ByteCount kStripe{16u << 20};  // bytes of guest between two stripes

  struct Entry {
    GuestRange range;
    Mode mode = Mode::Use;
    Entry* next = nullptr;  // arrived later
  };
  struct Stripe {
    Mutex mutex{Rank::RangeLock};
    Condition changed;
    Entry* first = nullptr;
    unsigned waiting = 0;
  };
  struct StripeSet {
    std::uint64_t bits = 0;
  };

  [[nodiscard]] StripeSet stripes_of(GuestRange range) const;
  static bool blocked(const Stripe& stripe, const Entry& entry) REQUIRES(stripe.mutex);
  static void append(Stripe& stripe, Entry& entry) REQUIRES(stripe.mutex);
  void enter(Stripe& stripe, Entry& entry);
  bool enter_if_free(Stripe& stripe, Entry& entry);
  void leave(Stripe& stripe, Entry& entry);

  ByteCount unit_;
  std::array<Stripe, kStripes> stripes_;

 public:
  /// A range (not empty) that is held until this goes; the constructor waits. A thread holds one at a time.
  class Held {
   public:
    Held(RangeLock& lock, GuestRange range, Mode mode);
    ~Held();
    /// Holds the range if nobody is in its way at this moment, else nullptr: for those who must not make others wait
    /// behind them while they wait themselves.
    [[nodiscard]] static std::unique_ptr<Held> if_free(RangeLock& lock, GuestRange range, Mode mode);
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

   private:
    Held(RangeLock& lock, GuestRange range, Mode mode, StripeSet entered);
    bool enter_if_free(StripeSet wanted);

    RangeLock& lock_;
    StripeSet stripes_;                                  // those that have an entry of ours
    std::unique_ptr<std::array<Entry, kStripes>> many_;  // one for each stripe, when there is more than one
    Entry single_;
  };
};

}  // namespace flatimg
