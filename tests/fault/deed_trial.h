// A failure at every host call of something that is done at once: a command, a resize, a snapshot, an opening and the
// reading of everything. For every call, each error, once and for ever:
//   - done means done: what it shows and what it leaves are the same as without a failure;
//   - not done leaves what was there before, or the whole of what should be there, and the check of the format has no
//   errors;
//   - what failed and changed nothing can be done when the failure is over.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "fault/fault_trial.h"

namespace flatimg::test {

struct Deed {
  /// Tells one result from another.
  using Shown = std::string;

  std::string name;
  Files start;
  /// Does it, in files that may fail, and tells what there is to be seen.
  std::function<Result<Shown>(Dresser&)> act;
  /// What files that nobody has open hold. Judges them as well.
  std::function<Shown(const Files&)> state;
  /// It needs files as they were at the start, not only such as hold the same.
  enum class Again { Possible, NotPossible } again = Again::Possible;
};
void PrintTo(const Deed& deed, std::ostream* out);

void fail_every_call(const Deed& deed);

}  // namespace flatimg::test
