// One cache budget for all images that are open at the same time (cache-size=).
//
// One half is divided into equal least shares, so that as many images can be open as there are of those; of what is
// left of the other half each image that is opened gets a quarter on top. Closing gives everything back. The first few
// images so have most of the budget, the hundredth enough to work, and all of them together never more than there is.
#pragma once

#include <algorithm>
#include <optional>

#include "base/ranked_mutex.h"
#include "base/units.h"

namespace flatimg::flat::tree {

class Budget {
 public:
  static constexpr std::uint64_t kLeastShare = 128 << 10;

  explicit Budget(ByteCount all)
      : most_images_(std::max<std::uint64_t>(all.value() / 2 / kLeastShare, 1)), extra_left_(all.value() / 2) {}

  [[nodiscard]] std::uint64_t most_images() const { return most_images_; }

  /// A share for one more image; nullopt when there are most_images() already.
  std::optional<ByteCount> take() EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    if (images_ == most_images_) return std::nullopt;
    ++images_;
    const std::uint64_t extra = extra_left_ / 4;
    extra_left_ -= extra;
    return ByteCount(kLeastShare + extra);
  }
  void give_back(ByteCount share) EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    --images_;
    extra_left_ += share.value() - kLeastShare;
  }

 private:
  const std::uint64_t most_images_;
  Mutex mutex_{Rank::Queue};
  std::uint64_t images_ GUARDED_BY(mutex_) = 0;
  std::uint64_t extra_left_ GUARDED_BY(mutex_);
};

}  // namespace flatimg::flat::tree
