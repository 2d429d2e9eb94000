#include "catalog/chain_rules.h"

#include <algorithm>

#include "base/limits.h"
#include "base/text.h"

namespace flatimg::catalog {

Result<void> ChainRules::admit(const HostFile& file, const std::string& path) {
  if (std::ranges::find(files_, file.identity()) != files_.end()) {
    return fail(ErrorKind::InvalidImage, "{}: the chain of backing files comes back to this file", shown(path));
  }
  if (files_.size() > limits::kChainDepth) {
    return fail(ErrorKind::Limit, "{}: a chain of more than {} backing files", shown(path), limits::kChainDepth);
  }
  files_.push_back(file.identity());
  return {};
}

Result<void> SharingRules::admit(const HostFile& file, Access access) {
  for (const Use& use : uses_) {
    if (use.file != file.identity() || (use.access == Access::ReadOnly && access == Access::ReadOnly)) continue;
    return fail(ErrorKind::InvalidImage, "{}: is needed twice for this disk, and would be written", shown(file.name()));
  }
  uses_.push_back({file.identity(), access});
  return {};
}

}  // namespace flatimg::catalog
