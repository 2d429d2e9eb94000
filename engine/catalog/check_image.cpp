#include "catalog/check_image.h"

#include "base/text.h"
#include "qcow2/check.h"
#include "qcow2/qcow2_image.h"

namespace flatimg::catalog {

Result<CheckedImage> check_image(const InspectRequest& request) {
  TRY(const Inspected image, inspect(request));
  if (image.format != "qcow2") return cannot(image, "has nothing that can be checked");
  TRY(const qcow2::Header header, qcow2::read_header(*image.file));
  auto report = qcow2::check(*image.file, header);
  if (!report) return Failure(std::move(report.error()).within(shown(request.path)));
  return CheckedImage{image.format, *std::move(report)};
}

}  // namespace flatimg::catalog
