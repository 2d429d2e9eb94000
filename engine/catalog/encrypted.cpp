#include "catalog/encrypted.h"

#include "catalog/chain_walk.h"
#include "composite/header.h"
#include "host/gate.h"
#include "qcow1/header.h"
#include "qcow2/qcow2_image.h"

namespace flatimg::catalog {

namespace {

enum class Depth { OneImage, Chain };

Result<bool> is_encrypted(const Inspected& image) {
  if (image.format == "qcow2") {
    TRY(const qcow2::Header header, qcow2::read_header(*image.file));
    return header.crypt_method != 0;
  }
  if (image.format != "qcow") return false;
  TRY(const qcow1::Header header, qcow1::read_header(*image.file));
  return header.crypt_method != 0;
}

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
    TRY(const bool encrypted, is_encrypted(image));
    if (encrypted) found = image.path;
    const bool alone = depth == Depth::OneImage && image.path == request.path;
    if (found || alone) return std::vector<Backing>();
    TRY(const std::optional<Backing> backing, backing_of(image));
    return backing ? std::vector<Backing>{*backing} : std::vector<Backing>();
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
