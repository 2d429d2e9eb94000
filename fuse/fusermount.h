// fusermount3, which mounts and unmounts for ordinary users. It is setuid root: whoever runs it must not have
// no_new_privs.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "host/posix_file.h"

namespace flatimg::flat {

/// Runs it with these words. Denied with what it said, in one line, when it did not succeed; NotFound when there is
/// none.
Result<void> run_fusermount(std::vector<std::string> words);

/// Mounts with these -o words; the connection to the kernel.
Result<Descriptor> mount_with_fusermount(const std::string& mountpoint, const std::string& options);

/// Where $PATH has it; empty when nowhere.
[[nodiscard]] std::string path_of_fusermount();

}  // namespace flatimg::flat
