// Qcow2Image: what is written when.
//
// One write-back, and the rule behind each step:
//
//   note what was unlinked so far            the release at the end belongs to it (O3)
//   copy changed L1 sectors, L2 pages        what is mentioned from here on waits for the next one
//   copy refcount table and blocks           behind the former: they count at least what those mention (O1)
//   Prepare: blocks with raised counters     O1
//   barrier                                  also covers data of new clusters (O2) and new L2 tables (O4)
//   Point:   refcount table, its pointer     O4
//   barrier
//   Mention: L2 pages, L1 sectors
//   barrier                                  everything acknowledged before is on disk
//   release what was unlinked                O3, the free rule
//
// Steps without writes cost no barrier. Where clusters were reserved ahead, and the guest saw zeroes before, a small
// write and its fsync therefore cost one table write and one barrier.
#include <new>

#include "base/log.h"
#include "base/out_of_memory.h"
#include "qcow2/qcow2_image.h"

namespace flatimg::qcow2 {

namespace {

// A contradiction ends the giving back of space, and is no error of what was written.
Result<void> unless_corrupt(Result<void> outcome) {
  if (outcome) return outcome;
  const ErrorKind kind = outcome.error().kind;
  return kind == ErrorKind::CorruptImage || kind == ErrorKind::ReadOnly ? Result<void>() : outcome;
}

}  // namespace

Result<void> Qcow2Image::write_back() {
  CHECK(settle_header());
  mark_.write_if_due();
  FreeSpace::Pending unlinked = free_space_.begin_release();
  Result<WriteOrder::Done> done = out_of_memory();
  try {
    WriteOrder order;
    if (l1_.collect(order, Step::Mention)) order.fence();
    l2_.collect(order);
    free_space_.collect(order);
    done = order.run(*file_, data_file_.get());
  } catch (const std::bad_alloc&) {
    // The answer stands, and nothing that was collected is forgotten.
  }
  if (!done) {
    l1_.failed();
    l2_.failed();
    free_space_.failed(std::move(unlinked));
    flusher_.note_change();
    return Failure(std::move(done.error()));
  }
  host_writes_ += done->writes;
  barriers_ += done->barriers;
  l1_.written();
  l2_.written();
  free_space_.written();
  return release_unlinked(std::move(unlinked));
}

// Everything acknowledged is on disk by now, so a contradiction that is met here is not an error of the flush.
Result<void> Qcow2Image::release_unlinked(FreeSpace::Pending unlinked) {
  if (unlinked.empty()) return {};
  if (mark_.declared()) {
    free_space_.keep(std::move(unlinked));
    return {};
  }
  flusher_.note_change();  // the lowered counters
  return unless_corrupt(noticed(free_space_.finish_release(std::move(unlinked))));
}

// Keeps what waits within the budget: writers are slowed. They fail only when nothing can be written back any more,
// with what the host said, because memory would grow without bound.
Result<void> Qcow2Image::throttle() {
  constexpr std::uint64_t kMostPending = 1u << 20;  // clusters; 16 bytes each while they wait
  const std::size_t limit = l2_.dirty_limit();
  const auto waits = [&](std::size_t times) {
    return l2_.dirty_pages() + free_space_.dirty_pages() > times * limit / 2 ||
           free_space_.pending_clusters() > times * kMostPending / 2;
  };
  if (waits(1)) flusher_.hurry();
  if (!waits(2)) return {};
  auto made_room = flusher_.make_room();
  return waits(4) ? made_room : Result<void>();
}

Result<void> Qcow2Image::flush() {
  if (!traits_.writable) return {};
  return flusher_.flush();
}

bool Qcow2Image::clean() const {
  return l2_.dirty_pages() == 0 && free_space_.dirty_pages() == 0 && free_space_.pending_clusters() == 0;
}

Result<void> Qcow2Image::close() {
  flusher_.stop();
  if (!traits_.writable || !writing_begun_) return {};
  stream_space_.close();
  Result<void> earlier = flusher_.flush();  // may report what a background flush met; the rest is tried all the same
  CHECK(unless_corrupt(noticed(return_space())));
  return earlier;
}

// Not where the image contradicts itself: what was reserved stays counted, and the file keeps its length.
Result<void> Qcow2Image::return_space() {
  CHECK(mark_.allows_changes());
  CHECK(free_space_.return_reserved());
  // Each round releases what the one before has unlinked, so a few are enough.
  for (unsigned rounds = 0; rounds < 4 && !clean(); ++rounds) CHECK(flusher_.flush());
  CHECK(mark_.allows_changes());
  return free_space_.trim_file();
}

std::optional<std::string> Qcow2Image::corruption() const {
  if (header_.has(incompatible::kCorrupt)) return "it is marked corrupt";
  return mark_.reason();
}

Counters Qcow2Image::counters() const {
  auto& self = const_cast<Qcow2Image&>(*this);
  const auto l2 = l2_.counts();
  const auto space = self.free_space_.counts();
  const auto flushes = self.flusher_.counts();
  return {{"l2-cache-hits", l2.hits},
          {"l2-cache-misses", l2.misses},
          {"l2-cache-pages", l2.pages},
          {"l2-dirty-pages", l2.dirty},
          {"refcount-cache-hits", space.cache.hits},
          {"refcount-cache-misses", space.cache.misses},
          {"refcount-cache-pages", space.cache.pages},
          {"refcount-dirty-pages", space.cache.dirty},
          {"decoded-cache-hits", decoded_.counts().hits},
          {"decoded-cache-misses", decoded_.counts().misses},
          {"clusters-reserved", space.reserved},
          {"clusters-free", space.free},
          {"clusters-pending", space.pending},
          {"clusters-granted", space.granted_total},
          {"clusters-released", space.released_total},
          {"flushes", flushes.flushes},
          {"flushes-in-background", flushes.background},
          {"flush-failures", flushes.failures},
          {"last-flush", flushes.last_end},
          {"last-flush-us", flushes.last_microseconds},
          {"table-writes", host_writes_.load()},
          {"barriers", barriers_.load()},
          {"audits", audits_.load()},
          {"audited-pages", audited_pages_.load()},
          {"audited-leaks", leaks_seen_.load()},
          {"corrupt", corruption() ? 1u : 0u}};
}

}  // namespace flatimg::qcow2
