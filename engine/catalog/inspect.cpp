#include "catalog/inspect.h"

#include "base/text.h"
#include "catalog/probe.h"
#include "host/file_lock.h"

namespace flatimg::catalog {

Result<Inspected> inspect_opened(std::unique_ptr<HostFile> file, const InspectRequest& request) {
  const LockAs role = request.access == Access::ReadWrite ? LockAs::Writer : LockAs::Reader;
  if (request.locks == Locks::Take) CHECK(lock_image(*file, role));
  Inspected image{std::move(file), request.path, request.format.value_or("")};
  if (!request.format) {
    TRY(image.format, probe(*image.file));
  }
  CHECK(must_be_a_format(image.format, request.path));
  return image;
}

Result<Inspected> inspect(const InspectRequest& request) {
  TRY(auto file, open_host_file(request.path, request.access));
  return inspect_opened(std::move(file), request);
}

Failure cannot(const Inspected& image, std::string_view what) {
  return fail(ErrorKind::Unsupported, "{}: the format {} {}", shown(image.path), image.format, what);
}

}  // namespace flatimg::catalog
