#include "catalog/preallocated.h"

#include "catalog/chain_walk.h"
#include "qcow2/preallocated.h"
#include "qcow2/qcow2_image.h"

namespace flatimg::catalog {

Result<std::vector<bool>> preallocated_images(const InspectRequest& request) {
  std::vector<bool> answers;
  CHECK(walk_chain(request, [&](const Inspected& image) -> Result<std::optional<Backing>> {
    answers.push_back(false);
    if (image.format == "qcow2") {
      TRY(const qcow2::Header header, qcow2::read_header(*image.file));
      TRY(answers.back(), qcow2::looks_preallocated(*image.file, header));
    }
    return backing_of(image);
  }));
  return answers;
}

}  // namespace flatimg::catalog
