#include "catalog/encrypted.h"

#include "catalog/chain_walk.h"
#include "composite/header.h"
#include "host/gate.h"
#include "qcow2/qcow2_image.h"

namespace flatimg::catalog {

namespace {

enum class Depth { OneImage, Chain };

// What is to be looked at next.
Result<std::vector<Backing>> parts_of(const Inspected& image) {
  TRY(const composite::Header header, composite::read_header(*image.file));
  std::vector<Backing> parts;
  for (const composite::Part& part : header.parts) parts.push_back({part.path, std::nullopt, Gate::kPart});
  return parts;
}

std::optional<std::string> first_encrypted(const InspectRequest& request, Depth depth) {
  std::optional<std::string> found;
  (void)walk_tree(request, [&](const Inspected& image) -> Result<std::vector<Backing>> {
    if (found) return std::vector<Backing>();
    if (image.format == "composite") return parts_of(image);
    if (image.format != "qcow2") return std::vector<Backing>();
    TRY(const qcow2::Header header, qcow2::read_header(*image.file));
    if (header.crypt_method != 0) found = image.path;
    const bool alone = depth == Depth::OneImage && image.path == request.path;
    if (found || alone || !header.backing_name) return std::vector<Backing>();
    return std::vector<Backing>{{*header.backing_name, header.backing_format}};
  });
  return found;
}

}  // namespace

std::optional<std::string> encrypted_image(const OpenRequest& request) {
  InspectRequest look{request.path, request.format, request.allowed_directories, Locks::Ignore};
  if (request.overlay) {
    InspectRequest overlay = look;
    overlay.path = *request.overlay;
    overlay.format.reset();
    if (auto found = first_encrypted(overlay, Depth::OneImage)) return found;
  }
  auto found = first_encrypted(look, request.backing ? Depth::OneImage : Depth::Chain);
  if (found || !request.backing) return found;
  look.path = *request.backing;
  look.format.reset();
  return first_encrypted(look, Depth::Chain);
}

}  // namespace flatimg::catalog
