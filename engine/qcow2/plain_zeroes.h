// The first step of a repair: zero clusters that reserve a place which is not the beginning of a cluster.
#pragma once

#include "host/host_file.h"
#include "qcow2/census.h"

namespace flatimg::qcow2 {

/// Makes each of them a zero cluster that reserves nothing, in every L2 table that is used for nothing else; returns
/// how many. What the guest reads stays the same. The caller puts a barrier behind it.
Result<std::uint64_t> make_plain_zeroes(HostFile& file, const Header& header, const Census& census);

}  // namespace flatimg::qcow2
