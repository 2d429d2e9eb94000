#include "qcow2/check.h"

#include "qcow2/survey.h"

namespace flatimg::qcow2 {

Result<CheckReport> check(HostFile& file, const Header& header, const Progress& progress) {
  TRY(Survey survey, Survey::take(file, header, Excess::Refuse, progress));
  CHECK(survey.compare_counters());
  CHECK(survey.compare_flags());
  return survey.report();
}

}  // namespace flatimg::qcow2
