// Disk: data and holes, and how much data there is.
#include <algorithm>

#include "view/parts.h"

namespace flatimg {

namespace {

// Both walks hold this much at a time: a bounded number of map entries.
constexpr std::uint64_t kUnitsHeldAtOnce = 1u << 20;
constexpr std::chrono::milliseconds kFirstCount{50};

bool is_data(const Extent& extent) { return !std::holds_alternative<Zeroes>(extent.source); }
bool is_hole(const Extent& extent) { return std::holds_alternative<Zeroes>(extent.source); }

}  // namespace

Result<std::optional<GuestOffset>> Disk::find(GuestOffset from, bool (*wanted)(const Extent&)) {
  GuestRange left = GuestRange::between(from, whole_disk().end());
  while (!left.empty()) {
    const GuestRange chunk = left.first(top_->traits().unit * kUnitsHeldAtOnce);
    const RangeLock::Held held(lock_, chunk, RangeLock::Mode::Use);
    for (GuestRange part = intersection(chunk, whole_disk()); !part.empty();) {
      TRY(const Resolved piece, resolve_held(part, Look::Holes));
      if (wanted(piece.extent)) return piece.extent.where.begin;
      part = part.without_first(piece.extent.where.length);
    }
    left = left.without_first(chunk.length);
  }
  return std::nullopt;
}

Result<std::optional<GuestOffset>> Disk::next_data(GuestOffset from) {
  CHECK(check_range({from, ByteCount(0)}));
  if (parts_) return parts_->next_data(from);
  return find(from, is_data);
}

Result<GuestOffset> Disk::next_hole(GuestOffset from) {
  CHECK(check_range({from, ByteCount(0)}));
  TRY(const auto hole, parts_ ? parts_->next_hole(from) : find(from, is_hole));
  return hole.value_or(whole_disk().end());
}

// --- counting -------------------------------------------------------------------------------------------------------

// The range is held.
Result<ByteCount> Disk::data_bytes_in(GuestRange range) {
  ByteCount data;
  while (!range.empty()) {
    TRY(const Resolved piece, resolve_held(range, Look::Holes));
    if (is_data(piece.extent)) data += piece.extent.where.length;
    range = range.without_first(piece.extent.where.length);
  }
  return data;
}

Result<void> Disk::count_chunk() {
  const GuestRange next{data_count_.counted_to(), top_->traits().unit * kUnitsHeldAtOnce};
  const RangeLock::Held held(lock_, next, RangeLock::Mode::Use);
  const GuestRange chunk = intersection(next, whole_disk());
  if (data_count_.counted_to() != chunk.begin) return {};  // the disk was resized meanwhile
  auto data = data_bytes_in(chunk);
  // What cannot be read is there: the read will tell.
  data_count_.advance(chunk.end(), data ? *data : chunk.length);
  return {};
}

void Disk::count_until(std::optional<std::chrono::steady_clock::time_point> deadline) {
  while (data_count_.counted_to() < whole_disk().end() && !closing_) {
    (void)count_chunk();
    if (deadline && std::chrono::steady_clock::now() >= *deadline) return;
  }
}

// The thread ends when all is counted; a disk that has grown since needs another one.
void Disk::start_counting() {
  if (counting_thread_.joinable()) counting_thread_.join();
  counting_ = true;
  counting_thread_ = std::thread([this] {
    count_until(std::nullopt);
    counting_ = false;
  });
}

// Small images are counted at once; the rest of a large one by a thread of its own.
ByteCount Disk::data_bytes() {
  if (parts_) return parts_->data_bytes();
  if (const auto known = top_->known_data_bytes()) return *known;
  if (data_count_.counted_to() < whole_disk().end()) {
    const MutexLock lock(counting_mutex_);
    if (!counting_) {
      count_until(std::chrono::steady_clock::now() + kFirstCount);
      if (data_count_.counted_to() < whole_disk().end() && !closing_) start_counting();
    }
  }
  return data_count_.counted_to() < whole_disk().end() ? size() : data_count_.bytes();
}

}  // namespace flatimg
