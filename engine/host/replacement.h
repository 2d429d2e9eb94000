// A file that is built beside another one and takes its place at once, when it is complete.
//
// Invariants:
//   1. Under the final name there is always what was there before, or all of the new file; after a crash, too.
//   2. Without take_place(), what was built is gone with this object.
//   3. What is to be replaced is locked meanwhile: nobody has it open, and nobody opens it for writing.
#pragma once

#include <string>

#include "host/posix_file.h"

namespace flatimg {

class Replacement {
 public:
  /// For what is, or will be, at `path` (behind symbolic links). Busy when somebody has it open; BadUsage when it is
  /// something else than a regular file.
  static Result<Replacement> of(const std::string& path);

  Replacement(Replacement&& other) noexcept = default;
  Replacement& operator=(Replacement&&) = delete;
  ~Replacement();

  /// Where the new file is to be made: in the same directory. Nothing is there yet.
  [[nodiscard]] const std::string& building_site() const { return site_; }

  /// The new file, whose contents are on stable storage already, gets the name, and the mode of what it replaces.
  Result<void> take_place();

 private:
  Replacement(std::string path, std::unique_ptr<HostFile> before);

  std::string path_;
  std::string site_;
  std::unique_ptr<HostFile> before_;  // nullptr: nothing was there
};

}  // namespace flatimg
