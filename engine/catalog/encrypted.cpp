#include "catalog/encrypted.h"

#include "catalog/chain_walk.h"
#include "qcow2/qcow2_image.h"

namespace flatimg::catalog {

namespace {

enum class Depth { OneImage, Chain };

std::optional<std::string> first_encrypted(const InspectRequest& request, Depth depth) {
  std::optional<std::string> found;
  (void)walk_chain(request, [&](const Inspected& image) -> Result<std::optional<Backing>> {
    if (image.format != "qcow2") return std::optional<Backing>();
    TRY(const qcow2::Header header, qcow2::read_header(*image.file));
    if (header.crypt_method != 0) found = image.path;
    if (found || depth == Depth::OneImage || !header.backing_name) return std::optional<Backing>();
    return std::optional(Backing{*header.backing_name, header.backing_format});
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
