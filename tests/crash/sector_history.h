// What crash tests of all formats share: which values a sector may have after a crash, and a disk behind an overlay
// that never changes.
#pragma once

#include <set>
#include <vector>

#include "image/image.h"
#include "support/memory_file.h"

namespace flatimg::test {

inline constexpr std::uint64_t kSector = 512;  // bytes: what a power cut leaves whole

// What a sector may contain after a crash, from the history of the workload. A sector is filled with one byte value.
class SectorHistory {
 public:
  explicit SectorHistory(std::vector<std::byte> start) : now_(std::move(start)) {}

  [[nodiscard]] const std::vector<std::byte>& now() const { return now_; }
  void change(std::size_t first, std::size_t count, std::byte value, std::size_t recorded) {
    for (std::size_t sector = first; sector < first + count; ++sector) {
      changes_.push_back({recorded, sector, value});
      now_[sector] = value;
    }
  }
  void flushed(std::size_t recorded) { flushes_.push_back({recorded, now_}); }

  /// The values allowed when everything before `covered` is on disk and nothing from `end` on was begun.
  [[nodiscard]] std::vector<std::set<std::byte>> allowed(const std::vector<std::byte>& start, std::size_t covered,
                                                         std::size_t end) const {
    std::size_t since = 0;
    const std::vector<std::byte>* base = &start;
    for (const Flush& flush : flushes_) {
      if (flush.recorded > covered) break;
      base = &flush.content;
      since = flush.recorded;
    }
    std::vector<std::set<std::byte>> result(base->size());
    for (std::size_t n = 0; n < base->size(); ++n) result[n].insert((*base)[n]);
    for (const Change& change : changes_) {
      if (change.recorded >= since && change.recorded < end) result[change.sector].insert(change.value);
    }
    return result;
  }

 private:
  struct Change {
    std::size_t recorded;  // operations of the recording before the call began
    std::size_t sector;
    std::byte value;
  };
  struct Flush {
    std::size_t recorded;  // operations when the call had returned
    std::vector<std::byte> content;
  };
  std::vector<std::byte> now_;
  std::vector<Change> changes_;
  std::vector<Flush> flushes_;
};

class FixedBase final : public Image {
 public:
  explicit FixedBase(std::vector<std::byte> content) : file_(MemoryFile::containing(content)), size_(content.size()) {
    traits_.format = "raw";
    traits_.fixed_map = true;
  }
  const Traits& traits() const override { return traits_; }
  ByteCount size() const override { return size_; }
  Result<Extent> map(GuestRange want, Look) override {
    return Extent{want, InFile{file_.get(), HostOffset(want.begin.value()), false}};
  }
  Result<void> flush() override { return {}; }
  Result<void> close() override { return {}; }

 private:
  std::unique_ptr<MemoryFile> file_;
  ByteCount size_;
  Traits traits_;
};

}  // namespace flatimg::test
