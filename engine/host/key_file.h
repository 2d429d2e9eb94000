// Files from which a passphrase is read.
#pragma once

#include <string>

#include "base/result.h"
#include "base/secret.h"

namespace flatimg {

/// All bytes of a file, a pipe or a device that ends ("-" is standard input): they are the passphrase as they are, an
/// end of line included. Limit beyond limits::kPassphrase. Nothing is kept open.
Result<Secret> read_key_file(const std::string& path);

}  // namespace flatimg
