// What every chain of backing files has to obey, whether it is opened or only looked at.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "host/host_file.h"

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

}  // namespace flatimg::catalog
