// Which values a sector may have after a crash, and which sizes the disk may have, from the history of the workload: of
// all sectors, or of those that a test looks at on a disk that is too large to be looked at as a whole. A sector is
// filled with one byte value. What lies behind the end of the disk counts as zero.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "base/range.h"

namespace flatimg::test {

inline constexpr std::uint64_t kSector = 512;  // bytes: what a power cut leaves whole

class SectorHistory {
 public:
  using Values = std::map<std::uint64_t, std::byte>;  // by the number of the sector

  struct Allowed {
    std::map<std::uint64_t, std::set<std::byte>> values;
    std::set<std::uint64_t> sizes;  // bytes
  };

  SectorHistory() = default;
  SectorHistory(Values start, std::uint64_t size) : now_{std::move(start), size}, flushes_{{0, now_}} {}

  /// A call that fills a range with one value begins, when the recording has that many operations.
  void change(GuestRange range, std::byte value, std::size_t recorded) {
    const std::uint64_t first = range.begin.value() / kSector;
    const std::uint64_t end = (range.end().value() + kSector - 1) / kSector;
    for (auto at = now_.values.lower_bound(first); at != now_.values.end() && at->first < end; ++at) {
      at->second = value;
      changes_.push_back({recorded, at->first, value});
    }
  }
  void resize(std::uint64_t size, std::size_t recorded) {
    const auto [from, to] = std::minmax(size, now_.size);
    change(GuestRange::between(GuestOffset(from), GuestOffset(to)), std::byte{0}, recorded);
    now_.size = size;
    sizes_.push_back({recorded, size});
  }
  /// Everything so far was on disk when the recording had that many operations.
  void flushed(std::size_t recorded) { flushes_.push_back({recorded, now_}); }

  [[nodiscard]] const Values& now() const { return now_.values; }
  [[nodiscard]] std::uint64_t size() const { return now_.size; }

  /// What is allowed when everything before `covered` is on disk and nothing from `end` on was begun.
  [[nodiscard]] Allowed allowed(std::size_t covered, std::size_t end) const {
    const Flush* last = &flushes_.front();
    for (const Flush& flush : flushes_) {
      if (flush.recorded <= covered) last = &flush;
    }
    Allowed allowed;
    for (const auto& [sector, value] : last->content.values) allowed.values[sector] = {value};
    allowed.sizes = {last->content.size};
    for (const Change& change : changes_) {
      if (change.recorded >= last->recorded && change.recorded < end) allowed.values[change.sector].insert(change.value);
    }
    for (const auto& [recorded, size] : sizes_) {
      if (recorded >= last->recorded && recorded < end) allowed.sizes.insert(size);
    }
    return allowed;
  }

 private:
  struct Content {
    Values values;
    std::uint64_t size = 0;
  };
  struct Change {
    std::size_t recorded;  // operations of the recording before the call began
    std::uint64_t sector;
    std::byte value;
  };
  struct Flush {
    std::size_t recorded;  // operations when the call had returned
    Content content;
  };
  Content now_;
  std::vector<Change> changes_;
  std::vector<std::pair<std::size_t, std::uint64_t>> sizes_;
  std::vector<Flush> flushes_;
};

}  // namespace flatimg::test
