// The part of a check that looks at data: can every compressed cluster be decoded? QEMU's check does not ask.
//
// Reads only. Each L2 table of the disk and of the snapshots is walked once, however many share it; streams are decoded
// by all processors in batches, so that memory is a batch of entries and two clusters for each processor.
#pragma once

#include "base/progress.h"
#include "base/result.h"
#include "image/report.h"

namespace flatimg {
class HostFile;
}

namespace flatimg::qcow2 {

struct Header;

/// The report with a corruption for each compressed cluster that cannot be decoded, and what it is for the guest.
Result<CheckReport> with_data_checked(HostFile& file, const Header& header, CheckReport report,
                                      const Progress& progress = {});

}  // namespace flatimg::qcow2
