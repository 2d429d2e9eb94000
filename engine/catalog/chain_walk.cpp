#include "catalog/chain_walk.h"

#include "catalog/chain_rules.h"
#include "host/gate.h"

namespace flatimg::catalog {

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
  ChainRules rules;
  for (;;) {
    CHECK(rules.admit(*image.file, image.path));
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
