// Changes which backing file an image names.
//
// Invariants:
//   1. Everything else in the first cluster stays byte for byte, where it is if at all possible.
//   2. A crash leaves the old name or the new one, each readable as a whole. Only a format whose record cannot lie in
//      the first sector may be missing or old for the moment between two writes.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "host/host_file.h"
#include "qcow2/backing_facts.h"

namespace flatimg::qcow2 {

struct BackingRecord {
  std::string name;
  std::string format;
  std::optional<BackingFacts> facts = {};  // left out where the first cluster has no room for them
};

/// Records another backing file, or none. The caller holds the image's lock, and nothing else has it open. On stable
/// storage on return. NoSpace when the first cluster has no room, InvalidImage when the header cannot be read.
Result<void> set_backing(HostFile& file, const std::optional<BackingRecord>& backing);

}  // namespace flatimg::qcow2
