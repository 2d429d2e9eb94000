#include "qcow2/corrupt_mark.h"

#include "base/log.h"
#include "base/text.h"
#include "qcow2/header_fields.h"

namespace flatimg::qcow2 {

void CorruptMark::declare(const Header& header, const Error& contradiction) {
  const MutexLock lock(mutex_);
  if (declared_.exchange(true, std::memory_order_acq_rel)) return;
  reason_ = contradiction.text;
  log(LogLevel::Error,
      "{}: the image is corrupt, and nothing in it is changed any more: {}. Unmount it, then run: flatimg check -r all "
      "{}",
      shown(file_.name()), reason_, shown(file_.name()));
  if (header.version < 3) return;
  bits_ = header.incompatible | incompatible::kCorrupt;
  due_ = true;
  write();
}

Result<void> CorruptMark::allows_changes() const {
  if (!declared()) return {};
  return fail(ErrorKind::ReadOnly, "{}: is read-only since it was found to be corrupt: run flatimg check -r all",
              shown(file_.name()));
}

std::optional<std::string> CorruptMark::reason() const {
  if (!declared()) return std::nullopt;
  const MutexLock lock(mutex_);
  return reason_;
}

void CorruptMark::write_if_due() {
  if (!due_.load(std::memory_order_relaxed)) return;
  const MutexLock lock(mutex_);
  if (due_) write();
}

void CorruptMark::write() {
  Result<void> written = write_incompatible(file_, bits_);
  if (written) written = file_.barrier();
  if (!written) return log(LogLevel::Error, "marking the image as corrupt: {}", written.error().text);
  due_ = false;
}

}  // namespace flatimg::qcow2
