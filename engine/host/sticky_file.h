// A HostFile that remembers a failed barrier for ever, its own or that of another file of the same image.
//
// After a failed fsync the kernel may drop the pages that it could not write and report success the next time; what had
// been promised is gone, and nothing that builds upon it may be promised either. States:
//
//   | state  | barrier, write, zero, reserve, resize | read and the rest | next state                  |
//   |--------|---------------------------------------|-------------------|-----------------------------|
//   | sound  | as the inner file                     | as the inner file | failed, on a failed barrier |
//   | failed | the error of that barrier             | as the inner file | -                           |
#pragma once

#include <memory>

#include "host/host_file.h"

namespace flatimg {

/// What is remembered. The files of one image (tables and external data file) share it: what one of them has lost, the
/// other may rely on.
class BarrierMemory;
[[nodiscard]] std::shared_ptr<BarrierMemory> new_barrier_memory();

/// Puts the memory in front of `inner`. Way out of the failed state: opening the image again.
[[nodiscard]] std::unique_ptr<HostFile> with_sticky_failure(
    std::unique_ptr<HostFile> inner, std::shared_ptr<BarrierMemory> memory = new_barrier_memory());

}  // namespace flatimg
