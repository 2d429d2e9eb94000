// Qcow1Image: what is written when.
//
// One write-back, and the rule behind each step:
//
//   note what was unlinked so far, and how long the file is
//   copy changed L1 sectors, L2 pages        what is mentioned from here on waits for the next one
//   barrier                                  where L1 has changed: new L2 tables are complete (O4); where an entry
//                                            mentions new data: its bytes are there (O2)
//   Mention: L2 pages, L1 sectors            an L2 page may arrive behind the L1 entry: the table is zeroes until then
//   barrier                                  everything acknowledged before is on disk
//   punch and reuse what was unlinked        the free rule
//
// Where the file was long enough on disk before, and the guest saw zeroes, a small write and its fsync take one
// barrier.
#include <new>

#include "base/out_of_memory.h"
#include "qcow1/qcow1_image.h"

namespace flatimg::qcow1 {

Result<void> Qcow1Image::write_back() {
  free_space_.begin_release();
  Result<WriteOrder::Done> done = out_of_memory();
  try {
    WriteOrder order;
    if (l1_.collect(order, Step::Mention)) order.fence();
    l2_.collect(order);
    done = order.run(*file_, nullptr);
  } catch (const std::bad_alloc&) {
    // The answer stands, and nothing that was collected is forgotten.
  }
  if (!done) {
    l1_.failed();
    l2_.failed();
    free_space_.failed();
    flusher_.note_change();
    return Failure(std::move(done.error()));
  }
  host_writes_ += done->writes;
  barriers_ += done->barriers;
  l1_.written();
  l2_.written();
  free_space_.finish_release();
  return {};
}

// Keeps what waits within the budget: writers are slowed. They fail only when nothing can be written back any more.
Result<void> Qcow1Image::throttle() {
  constexpr std::size_t kMostPending = 1u << 20;
  const auto waits = [&](std::size_t times) {
    return l2_.dirty_pages() > times * l2_.dirty_limit() / 2 || free_space_.pending() > times * kMostPending / 2;
  };
  if (waits(1)) flusher_.hurry();
  if (!waits(2)) return {};
  auto made_room = flusher_.make_room();
  return waits(4) ? made_room : Result<void>();
}

Result<void> Qcow1Image::flush() {
  if (!traits_.writable) return {};
  return flusher_.flush();
}

Result<void> Qcow1Image::close() {
  flusher_.stop();
  if (!traits_.writable || !writing_begun_) return {};
  Result<void> earlier = flusher_.flush();  // may report what a background flush met; the rest is tried all the same
  if (!earlier && !flusher_.flush()) return earlier;
  CHECK(write_checksum());
  CHECK(free_space_.trim());
  return earlier;
}

Counters Qcow1Image::counters() const {
  auto& self = const_cast<Qcow1Image&>(*this);
  const auto l2 = l2_.counts();
  const auto flushes = self.flusher_.counts();
  return {{"l2-cache-hits", l2.hits},
          {"l2-cache-misses", l2.misses},
          {"l2-cache-pages", l2.pages},
          {"l2-dirty-pages", l2.dirty},
          {"decoded-cache-hits", decoded_.counts().hits},
          {"decoded-cache-misses", decoded_.counts().misses},
          {"clusters-pending", free_space_.pending()},
          {"flushes", flushes.flushes},
          {"flushes-in-background", flushes.background},
          {"flush-failures", flushes.failures},
          {"last-flush", flushes.last_end},
          {"last-flush-us", flushes.last_microseconds},
          {"table-writes", host_writes_.load()},
          {"barriers", barriers_.load()}};
}

}  // namespace flatimg::qcow1
