#include "fuse/write_claims.h"

#include <algorithm>
#include <string>

namespace flatimg::flat {

namespace {

constexpr auto kPatience = std::chrono::milliseconds(200);

bool at_odds(const WriteClaim& a, const WriteClaim& b) {
  if (a == b || (a.partition == 0 && b.partition == 0)) return false;
  return a.partition == 0 || b.partition == 0 || a.where.overlaps(b.where);
}

std::string described(const WriteClaim& claim) {
  return claim.partition == 0 ? "the whole disk" : fmt::format("partition {}", claim.partition);
}

}  // namespace

Result<void> WriteClaims::add(const WriteClaim& wanted) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  const MutexLock lock(mutex_);
  while (const WriteClaim* const other = in_the_way_of(wanted)) {
    if (removed_.wait_until(mutex_, deadline) == std::cv_status::no_timeout) continue;
    if (in_the_way_of(wanted) == nullptr) break;
    return fail(ErrorKind::Busy, "{} is open for writing, so {} cannot be: close it first", described(*other),
                described(wanted));
  }
  claims_.push_back(wanted);
  return {};
}

void WriteClaims::remove(const WriteClaim& claim) {
  const MutexLock lock(mutex_);
  if (const auto found = std::ranges::find(claims_, claim); found != claims_.end()) claims_.erase(found);
  removed_.notify_all();
}

bool WriteClaims::whole_is_written() const {
  const MutexLock lock(mutex_);
  return std::ranges::any_of(claims_, [](const WriteClaim& claim) { return claim.partition == 0; });
}

const WriteClaim* WriteClaims::in_the_way_of(const WriteClaim& wanted) const {
  const auto found = std::ranges::find_if(claims_, [&](const WriteClaim& claim) { return at_odds(claim, wanted); });
  return found == claims_.end() ? nullptr : &*found;
}

}  // namespace flatimg::flat
