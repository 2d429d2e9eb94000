// The one place that opens a file because an image named it (backing file, external data file, composite part).
//
// Invariants (promise S2):
//   1. A name opens only when it resolves beneath a permitted directory: that of the top image (or of the mounted
//      directory) and those of allow-path=. The kernel decides (openat2 with RESOLVE_BENEATH and NO_MAGICLINKS).
//   2. Names are names: no json:, nbd:, fd: or other protocol has a meaning, no NUL, no over-long name.
//   3. What the name leads to is looked at through O_PATH before it is really opened: regular files only.
//   4. At most limits::kOpenedFiles files, and never the same file twice in one chain (the caller passes the chain).
//   5. A refusal names the file, the image that asked for it and the option that would allow it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "host/posix_file.h"

namespace flatimg {

class Gate {
 public:
  /// For an image (or directory) at `top`; `allowed` are the directories of allow-path=.
  static Result<Gate> around(const std::string& top, const std::vector<std::string>& allowed);

  Gate(Gate&&) noexcept = default;
  Gate& operator=(Gate&&) noexcept = default;

  struct Request {
    std::string_view name;    // as the image spells it
    std::string asking_path;  // the image that names it; relative names are resolved in its directory
    std::string_view role;    // "backing file", "data file": for messages
    Access access = Access::ReadOnly;
  };
  struct Opened {
    std::unique_ptr<HostFile> file;
    std::string path;  // absolute; becomes asking_path of what this file names in turn
  };
  /// Opens what the image names, or says why not.
  Result<Opened> open(const Request& request);

  /// Where the name would lead, without opening or permission: for `info`.
  [[nodiscard]] static std::string resolve_name(std::string_view name, const std::string& asking_path);

 private:
  struct Root {
    std::string path;       // absolute, as typed
    std::string canonical;  // without symbolic links
    Descriptor directory;
  };
  Gate() = default;
  std::vector<Root> roots_;
  unsigned opened_ = 0;
};

}  // namespace flatimg
