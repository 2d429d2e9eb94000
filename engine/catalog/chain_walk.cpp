#include "catalog/chain_walk.h"

#include <algorithm>

#include "base/limits.h"
#include "base/text.h"
#include "host/gate.h"

namespace flatimg::catalog {

namespace {

// The chain is finite: no file twice, and not longer than any chain that opens.
Result<void> note_file(std::vector<FileIdentity>& seen, const Inspected& image) {
  const FileIdentity identity = image.file->identity();
  if (std::find(seen.begin(), seen.end(), identity) != seen.end()) {
    return fail(ErrorKind::InvalidImage, "{}: the chain of backing files comes back to this file", shown(image.path));
  }
  if (seen.size() > limits::kChainDepth) {
    return fail(ErrorKind::Limit, "{}: a chain of more than {} backing files", shown(image.path), limits::kChainDepth);
  }
  seen.push_back(identity);
  return {};
}

}  // namespace

std::string full_name(const std::string& name, const std::string& path) {
  const std::size_t colon = name.find(':');
  const bool has_protocol = colon != std::string::npos && colon < name.find('/');
  const std::size_t slash = path.rfind('/');
  if (name.starts_with('/') || has_protocol || slash == std::string::npos) return name;
  return path.substr(0, slash + 1) + name;
}

Result<void> walk_chain(const InspectRequest& request,
                        const std::function<Result<std::optional<Backing>>(const Inspected&)>& visit) {
  TRY(Gate gate, Gate::around(request.path, request.allowed_directories));
  TRY(Inspected image, inspect(request));
  std::vector<FileIdentity> seen;
  for (;;) {
    CHECK(note_file(seen, image));
    TRY(const std::optional<Backing> backing, visit(image));
    if (!backing) return {};
    TRY(auto opened, gate.open({backing->name, image.path, "backing file", Access::ReadOnly}));
    InspectRequest next = request;
    next.path = full_name(backing->name, image.path);
    next.format = backing->format;
    TRY(image, inspect_opened(std::move(opened.file), next));
  }
}

}  // namespace flatimg::catalog
