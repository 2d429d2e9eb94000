#include "catalog/chain_walk.h"

#include "catalog/chain_rules.h"
#include "host/gate.h"
#include "qcow1/header.h"
#include "qcow2/qcow2_image.h"

namespace flatimg::catalog {

std::string full_name(const std::string& name, const std::string& path) {
  const std::size_t colon = name.find(':');
  const bool has_protocol = colon != std::string::npos && colon < name.find('/');
  const std::size_t slash = path.rfind('/');
  if (name.starts_with('/') || has_protocol || slash == std::string::npos) return name;
  return path.substr(0, slash + 1) + name;
}

Result<std::optional<Backing>> backing_of(const Inspected& image) {
  std::optional<Backing> backing;
  if (image.format == "qcow2") {
    TRY(const qcow2::Header header, qcow2::read_header(*image.file));
    if (header.backing_name) backing = Backing{*header.backing_name, header.backing_format};
  } else if (image.format == "qcow") {
    TRY(const qcow1::Header header, qcow1::read_header(*image.file));
    if (header.backing_name) backing = Backing{*header.backing_name, std::nullopt};
  }
  return backing;
}

namespace {

using Visit = std::function<Result<std::vector<Backing>>(const Inspected&)>;

class Walk {
 public:
  Walk(const InspectRequest& request, Gate gate, const Visit& visit)
      : request_(request), gate_(std::move(gate)), visit_(visit) {}

  // The image, and what it leads to; `rules` has met what led here. As deep as the rules allow.
  Result<void> from(Inspected image, ChainRules rules) {
    CHECK(rules.admit(*image.file, image.path));
    TRY(const std::vector<Backing> behind, visit_(image));
    image.file.reset();
    for (const Backing& named : behind) {
      TRY(auto opened, gate_.open({named.name, image.path, named.role, Access::ReadOnly}));
      InspectRequest next = request_;
      next.path = full_name(named.name, image.path);
      next.format = named.format;
      TRY(Inspected other, inspect_opened(std::move(opened.file), next));
      CHECK(from(std::move(other), rules));
    }
    return {};
  }

 private:
  const InspectRequest& request_;
  Gate gate_;
  const Visit& visit_;
};

}  // namespace

Result<void> walk_tree(const InspectRequest& request, const Visit& visit) {
  TRY(Gate gate, Gate::around(request.path, request.allowed_directories));
  TRY(Inspected image, inspect(request));
  return Walk(request, std::move(gate), visit).from(std::move(image), ChainRules());
}

Result<void> walk_chain(const InspectRequest& request,
                        const std::function<Result<std::optional<Backing>>(const Inspected&)>& visit) {
  return walk_tree(request, [&](const Inspected& image) -> Result<std::vector<Backing>> {
    TRY(const std::optional<Backing> backing, visit(image));
    if (!backing) return std::vector<Backing>();
    return std::vector<Backing>{*backing};
  });
}

}  // namespace flatimg::catalog
