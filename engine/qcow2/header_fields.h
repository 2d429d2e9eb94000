// Header fields that change behind the creation of an image, patched where they are.
//
// Each function makes one write within the first sector, so that a crash leaves all of its fields old or all of them
// new. Barriers are the caller's affair.
#pragma once

#include "host/host_file.h"
#include "qcow2/header.h"

namespace flatimg::qcow2 {

/// The places of the refcount table and of the snapshot table, their lengths, and the width of the counters.
Result<void> write_table_pointers(HostFile& file, const Header& header);
/// Feature words; of version 3 only.
Result<void> write_incompatible(HostFile& file, std::uint64_t bits);
Result<void> write_autoclear(HostFile& file, std::uint64_t bits);

}  // namespace flatimg::qcow2
