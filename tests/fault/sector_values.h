// What each sector of a disk may contain when some operations have failed: an oracle that is filled while a workload
// runs. A sector is filled with one byte value.
//
//   now      what the open disk shows: exactly the last value acknowledged, or one of those that failed since
//   durable  what an image that was left without close() may show: the above as it was at the last flush that
//   succeeded,
//            or any value that somebody tried to write since
#pragma once

#include <bitset>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/units.h"

namespace flatimg::test {

inline constexpr std::size_t kSector = 512;

class SectorValues {
 public:
  using Allowed = std::bitset<256>;

  explicit SectorValues(const std::vector<std::byte>& start) {
    for (const std::byte value : start) now_.push_back(Allowed().set(std::to_integer<std::size_t>(value)));
    durable_ = now_;
  }

  [[nodiscard]] std::size_t sectors() const { return now_.size(); }
  /// Whether any change was acknowledged: otherwise there is nothing that closing could lose.
  [[nodiscard]] bool changed() const { return changed_; }
  void tried(std::size_t first, std::size_t count, std::byte value, bool acknowledged) {
    changed_ |= acknowledged;
    for (std::size_t sector = first; sector < first + count; ++sector) {
      if (acknowledged) now_[sector].reset();
      now_[sector].set(std::to_integer<std::size_t>(value));
      durable_[sector].set(std::to_integer<std::size_t>(value));
    }
  }
  void flushed() { durable_ = now_; }

  /// What is wrong with these bytes, seen from sector `first`; nullopt when nothing is.
  [[nodiscard]] std::optional<std::string> wrong_now(std::size_t first, std::span<const std::byte> bytes) const {
    return wrong(now_, first, bytes);
  }
  [[nodiscard]] std::optional<std::string> wrong_durable(std::span<const std::byte> bytes) const {
    return wrong(durable_, 0, bytes);
  }

 private:
  static std::optional<std::string> wrong(const std::vector<Allowed>& allowed, std::size_t first,
                                          std::span<const std::byte> bytes) {
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      const std::size_t sector = first + at / kSector;
      const auto value = std::to_integer<std::size_t>(bytes[at]);
      if (allowed[sector].test(value)) {
        if (at % kSector == 0 || bytes[at] == bytes[at - 1]) continue;
        return "sector " + std::to_string(sector) + " is torn at byte " + std::to_string(at % kSector);
      }
      return "sector " + std::to_string(sector) + " shows " + std::to_string(value);
    }
    return std::nullopt;
  }

  bool changed_ = false;
  std::vector<Allowed> now_;
  std::vector<Allowed> durable_;
};

}  // namespace flatimg::test
