// Whether two disks show the same bytes.
#pragma once

#include <optional>

#include "transfer/pieces.h"
#include "view/disk.h"

namespace flatimg::transfer {

enum class Strictness {
  Contents,    // a shorter disk is as good when zeroes follow in the longer one
  Allocation,  // sizes, and what the images say of each part, must agree as well
};

struct Difference {
  enum class Kind { Content, Size, Allocation };
  Kind kind = Kind::Content;
  GuestOffset at;  // the first sector that differs
};

/// The first difference, or nullopt when there is none. Any disks, which stay as they are.
Result<std::optional<Difference>> compare(Disk& a, Disk& b, Strictness strictness, const Progress& progress);

}  // namespace flatimg::transfer
