#include "catalog/backing.h"

#include "base/text.h"
#include "catalog/replaced_base.h"
#include "host/file_lock.h"
#include "host/gate.h"
#include "qcow2/qcow2_image.h"
#include "qcow2/set_backing.h"

namespace flatimg::catalog {

namespace {

Failure cannot_be_recorded(const std::string& image, const std::string& format) {
  if (format == "qcow") {
    return fail(ErrorKind::Unsupported, "{}: the backing file of a qcow image cannot be changed: use qcow2",
                shown(image));
  }
  return fail(ErrorKind::Unsupported, "{}: a {} image cannot name a backing file", shown(image), format);
}

qcow2::BackingRecord record_of(const std::string& image, const BackingName& backing) {
  return {backing.name, backing.format, facts_of(Gate::resolve_name(backing.name, image))};
}

}  // namespace

std::optional<std::string> note_on_qemu(const std::string& image, const std::string& backing_format) {
  if (qcow2::extension::of_backing_format(backing_format) == qcow2::extension::kBackingFormat) return std::nullopt;
  return fmt::format("{}: QEMU would take what is behind it for raw: show it to QEMU through flatimg only ({})",
                     shown(image), backing_format);
}

Result<FoundBacking> open_backing(const BackingRequest& request) {
  TRY(Gate gate, Gate::around(request.image, request.allowed_directories));
  TRY(const auto found, gate.open({request.name, request.image, "backing file", Access::ReadOnly}));
  const auto there = open_host_file(request.image, Access::ReadOnly);
  if (there && (*there)->identity() == found.file->identity()) {
    return fail(ErrorKind::BadUsage, "{}: the image and its backing file would be the same file", shown(request.image));
  }
  OpenRequest backing;
  backing.path = found.path;
  backing.format = request.format;
  backing.access = Access::ReadOnly;
  backing.allowed_directories = request.allowed_directories;
  backing.passphrase = request.passphrase;
  backing.content = request.content;
  FoundBacking result;
  TRY(result.opened, open_image(backing));
  if (!request.format) {
    result.notes.push_back(fmt::format("{}: its format was not given (-F) and is recorded as what it looks like: {}",
                                       shown(request.name), result.opened.format));
  }
  if (auto note = note_on_qemu(request.image, result.opened.format)) result.notes.push_back(std::move(*note));
  return result;
}

Result<void> must_record_backing(const std::string& image) {
  TRY(const auto file, open_host_file(image, Access::ReadOnly));
  TRY(const std::string format, probe(*file));
  return format == "qcow2" ? Result<void>() : cannot_be_recorded(image, format);
}

Result<void> record_backing(const std::string& image, const std::optional<BackingName>& backing) {
  TRY(const auto file, open_host_file(image, Access::ReadWrite));
  CHECK(lock_image(*file, LockAs::Writer));
  TRY(const std::string format, probe(*file));
  if (format != "qcow2") {
    return cannot_be_recorded(image, format);
  }
  if (!backing) return qcow2::set_backing(*file, std::nullopt);
  CHECK(must_be_a_format(backing->format, image));
  return qcow2::set_backing(*file, record_of(image, *backing));
}

Result<void> renew_facts(const std::string& image) {
  TRY(const auto file, open_host_file(image, Access::ReadWrite));
  CHECK(lock_image(*file, LockAs::Writer));
  TRY(const std::string format, probe(*file));
  if (format != "qcow2") return {};
  TRY(const qcow2::Header header, qcow2::read_header(*file));
  if (!qcow2::recorded_facts(header) || !header.backing_format) return {};
  return qcow2::set_backing(*file, record_of(image, {*header.backing_name, *header.backing_format}));
}

}  // namespace flatimg::catalog
