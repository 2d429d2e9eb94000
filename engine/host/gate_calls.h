// openat2 and the look at a file before it is opened. Private to this room.
#pragma once

#include <string>

#include "host/posix_file.h"

namespace flatimg::gate {

/// A descriptor, or the errno of the refusal: EXDEV when the path leaves the directory, ELOOP for a magic link or a
/// loop.
struct Attempt {
  Descriptor descriptor;
  int os_error = 0;
};

/// Opens `path` beneath `directory` (openat2 with RESOLVE_BENEATH and RESOLVE_NO_MAGICLINKS). O_CLOEXEC is added.
[[nodiscard]] Attempt open_beneath(const Descriptor& directory, const std::string& path, int flags);

/// A duplicate of a descriptor that was open when this process began; EBADF for one of our own, which all have
/// close-on-exec.
[[nodiscard]] Attempt duplicate_inherited(int number);

/// What a descriptor leads to, without asking a file server that may be ourselves.
struct Look {
  unsigned mode = 0;
  FileIdentity identity;
  ByteCount size;
  std::int64_t changed_at = 0;  // seconds since 1970: the last write
};
[[nodiscard]] Result<Look> look_at(const Descriptor& descriptor);

}  // namespace flatimg::gate
