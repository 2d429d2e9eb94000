#include "view/disk_audit.h"

#include "base/log.h"
#include "view/parts.h"

namespace flatimg {

DiskAudit::DiskAudit(Disk& disk) : disk_(disk), audited_(dynamic_cast<Audited*>(disk.top_)) {
  if (!disk.parts_) return;
  for (Disk* part : disk.parts_->disks()) parts_.push_back(std::make_unique<DiskAudit>(*part));
}

DiskAudit::~DiskAudit() = default;

DiskAudit::Step DiskAudit::step(Clock::time_point now) {
  for (const auto& part : parts_) {
    if (const Step made = part->step(now); made != Step::Nothing) return made;
  }
  if (audited_ == nullptr || !disk_.writable()) return Step::Nothing;
  if (!pass_ && !begin_pass(now)) return Step::Nothing;
  return continue_pass(now);
}

bool DiskAudit::begin_pass(Clock::time_point now) {
  if (now < not_before_ || disk_.corruption()) return false;
  auto begun = audited_->begin_audit();
  if (begun) {
    pass_ = *std::move(begun);
    return pass_ != nullptr;
  }
  log(LogLevel::Debug, "no audit of the tables: {}", begun.error().text);
  not_before_ = now + kBetweenPasses;
  return false;
}

// The range is asked for again when it is held: the disk may have another size by then.
DiskAudit::Step DiskAudit::continue_pass(Clock::time_point now) {
  const GuestRange range = pass_->next();
  const auto held = range.empty() ? nullptr : RangeLock::Held::if_free(disk_.lock_, range, RangeLock::Mode::Use);
  if (!range.empty() && (!held || pass_->next() != range)) return Step::InTheWay;
  const Result<void> looked = range.empty() ? Result<void>() : pass_->step();
  if (range.empty() || !looked) {
    pass_.reset();
    not_before_ = now + kBetweenPasses;
  }
  if (!looked) ++failures_;
  if (!looked && looked.error().kind != ErrorKind::CorruptImage) {
    log(LogLevel::Warning, "the audit of the tables ends early: {}", looked.error().text);
  }
  return Step::Made;
}

}  // namespace flatimg
