#include "qcow2/repair.h"

#include "base/log.h"
#include "qcow2/check.h"
#include "qcow2/header_fields.h"
#include "qcow2/plain_zeroes.h"
#include "qcow2/qcow2_image.h"
#include "qcow2/rebuild.h"
#include "qcow2/survey.h"

namespace flatimg::qcow2 {

namespace {

class Work {
 public:
  Work(HostFile& file, Header header, RepairScope scope, const Progress& progress)
      : file_(file), header_(std::move(header)), scope_(scope), progress_(progress) {}

  Result<RepairReport> run();

 private:
  [[nodiscard]] Excess excess() const { return scope_ == RepairScope::All ? Excess::Drop : Excess::Refuse; }
  Progress next_look();
  Result<Survey> survey() { return Survey::take(file_, header_, excess(), next_look()); }
  Result<Survey> look();
  Result<void> begin_writing();
  Result<void> straighten_zeroes(const Census& census);
  Result<void> rebuild(const Survey& before);
  Result<void> correct_counters();
  Result<void> correct_flags();
  Result<void> clear_bits(const CheckReport& verdict);

  HostFile& file_;
  Header header_;
  RepairScope scope_;
  const Progress& progress_;
  unsigned looks_ = 0;
  RepairReport report_;
};

// Every look takes about as long; there are at most five, and the last one may come earlier.
Progress Work::next_look() {
  constexpr unsigned kShare = 20;
  const unsigned begin = kShare * std::min(looks_++, 4u);
  return part_of(progress_, begin, begin + kShare);
}

Result<Survey> Work::look() {
  TRY(Survey survey, survey());
  CHECK(survey.compare_counters());
  CHECK(survey.compare_flags());
  return survey;
}

// Bits for features that nobody here knows: what they stand for may not survive a change.
Result<void> Work::begin_writing() {
  const std::uint64_t kept = header_.autoclear & (autoclear::kBitmaps | autoclear::kRawDataFile);
  if (header_.version < 3 || kept == header_.autoclear) return {};
  header_.autoclear = kept;
  CHECK(write_autoclear(file_, kept));
  return file_.barrier();
}

Result<void> Work::straighten_zeroes(const Census& census) {
  TRY(const std::uint64_t straightened, make_plain_zeroes(file_, header_, census));
  report_.corruptions_fixed += straightened;
  return file_.barrier();
}

Result<void> Work::rebuild(const Survey& before) {
  if (scope_ == RepairScope::Leaks) {
    return fail(ErrorKind::CorruptImage, "the refcounts cannot be trusted: rebuild them with flatimg check -r all");
  }
  const CheckReport found = before.report();
  CHECK(rebuild_damaged(file_, header_, before.census()));
  TRY(Survey survey, survey());
  CHECK(survey.compare_counters());
  const CheckReport left = survey.report();
  const std::uint64_t corruptions = found.corruptions - before.counted().wrong_flags;
  report_.corruptions_fixed += corruptions - std::min(left.corruptions, corruptions);
  report_.leaks_fixed += found.leaks - std::min(left.leaks, found.leaks);
  return {};
}

Result<void> Work::correct_counters() {
  TRY(Survey survey, survey());
  CHECK(survey.compare_counters(scope_ == RepairScope::All ? Survey::Repair::Everything : Survey::Repair::TooHigh));
  report_.corruptions_fixed += survey.counted().raised;
  report_.leaks_fixed += survey.counted().lowered;
  return file_.barrier();
}

// With RepairScope::Leaks only in an image whose counters are all right: a flag is about data, not about space.
Result<void> Work::correct_flags() {
  TRY(Survey survey, survey());
  CHECK(survey.compare_counters());
  if (scope_ == RepairScope::Leaks && !survey.report().is_clean()) return {};
  CHECK(survey.compare_flags(Survey::Repair::Everything));
  report_.corruptions_fixed += survey.counted().flags_corrected;
  return file_.barrier();
}

Result<void> Work::clear_bits(const CheckReport& verdict) {
  const std::uint64_t kept = header_.incompatible & ~(incompatible::kDirty | incompatible::kCorrupt);
  if (verdict.corruptions != 0 || verdict.check_errors != 0 || kept == header_.incompatible) return {};
  CHECK(begin_writing());
  header_.incompatible = kept;
  CHECK(write_incompatible(file_, kept));
  return file_.barrier();
}

Result<RepairReport> Work::run() {
  TRY(Survey found, look());
  report_.found = found.report();
  if (!report_.found.is_clean()) {
    CHECK(begin_writing());
    if (scope_ == RepairScope::All && found.census().misplaced_zeroes > 0) {
      CHECK(straighten_zeroes(found.census()));
      TRY(found, look());
    }
    CHECK(found.needs_rebuild() ? rebuild(found) : correct_counters());
    CHECK(correct_flags());
  }
  TRY(report_.left, check(file_, header_, next_look()));
  CHECK(clear_bits(report_.left));
  tell(progress_, 1, 1);
  return std::move(report_);
}

}  // namespace

Result<RepairReport> repair(HostFile& file, RepairScope scope, const Progress& progress) {
  TRY(Header header, read_header(file, HeaderUse::Check));
  return Work(file, std::move(header), scope, progress).run();
}

}  // namespace flatimg::qcow2
