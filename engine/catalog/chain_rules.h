// What chains of backing files and parts of a disk have to obey, whether they are opened or only looked at.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "host/posix_file.h"

namespace flatimg::catalog {

class ChainRules {
 public:
  /// The next file of the chain, top first. InvalidImage when it was met before, Limit when the chain is longer than
  /// limits::kChainDepth. `path` is for the message.
  Result<void> admit(const HostFile& file, const std::string& path);

  /// The files admitted so far, for the gate.
  [[nodiscard]] std::span<const FileIdentity> files() const { return files_; }
  /// How many files are in front of the one admitted last.
  [[nodiscard]] std::size_t depth() const { return files_.size() - 1; }

 private:
  std::vector<FileIdentity> files_;
};

/// What holds for all files that are open together, wherever they stand: who writes a file has it alone.
class SharingRules {
 public:
  /// InvalidImage when the file is open already and one of the two writes it.
  Result<void> admit(const HostFile& file, Access access);

 private:
  struct Use {
    FileIdentity file;
    Access access;
  };
  std::vector<Use> uses_;
};

}  // namespace flatimg::catalog
