// Qcow2Image: switching the header from one set of complete tables to another, with one write to one sector.
//
//   state      | on disk             | what happens                                     | left by
//   -----------+---------------------+--------------------------------------------------+---------------------------
//   settled    | what memory says    | everything                                       | switch_header() that fails
//   unsettled  | the former or the   | reads only: every change and every flush writes  | the former header on disk
//              | new header          | the former header again first, and fails if that |
//              |                     | cannot be done                                   |
//
// A failed barrier needs no state: nothing is written to the file any more (host/sticky_file.h).
#include "qcow2/header_core.h"
#include "qcow2/qcow2_image.h"

namespace flatimg::qcow2 {

// Everything that `to` points to is on stable storage. On an error memory stays with `from`.
Result<void> Qcow2Image::switch_header(const HeaderCore& from, const HeaderCore& to) {
  auto written = file_->write(HeaderCore::kAt, to.bytes());
  if (written) return file_->barrier();
  {
    const MutexLock lock(tables_mutex_);
    former_header_ = from;
    header_unsettled_.store(true, std::memory_order_release);
  }
  (void)settle_header();
  return written;
}

Result<void> Qcow2Image::settle_header() {
  if (!header_unsettled_.load(std::memory_order_acquire)) return {};
  const MutexLock lock(tables_mutex_);
  if (!header_unsettled_.load(std::memory_order_relaxed)) return {};
  CHECK(file_->write(HeaderCore::kAt, former_header_.bytes()));
  CHECK(file_->barrier());
  header_unsettled_.store(false, std::memory_order_release);
  return {};
}

}  // namespace flatimg::qcow2
