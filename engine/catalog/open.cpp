// The top of a chain: opened, locked, probed; and the request as a whole.
#include "catalog/open.h"

#include <algorithm>

#include "base/text.h"
#include "catalog/opener.h"
#include "catalog/overlay.h"
#include "host/file_lock.h"

namespace flatimg::catalog {

namespace {

std::vector<Named> named_files(const OpenRequest& request) {
  std::vector<Named> named;
  if (request.overlay) named.push_back({*request.overlay, "qcow2"});
  named.push_back({request.path, request.format});
  if (request.backing) named.push_back({*request.backing, std::nullopt});
  return named;
}

Result<Gate> gate_for(const OpenRequest& request) {
  if (request.gate != nullptr) return request.gate->for_another_image();
  return Gate::around(request.path, request.allowed_directories);
}

}  // namespace

Opener::Opener(const OpenRequest& request, Gate gate)
    : request_(request), gate_(std::move(gate)), named_(named_files(request)), cache_left_(request.cache_size) {}

Result<void> Opener::lock(const HostFile& file, Access access) {
  CHECK(sharing_.admit(file, access));
  if (!request_.locks) return {};
  return lock_image(file, access == Access::ReadWrite ? LockAs::Writer : LockAs::Reader);
}

Image* Opener::keep(std::unique_ptr<Image> image) {
  opened_.chain.push_back(std::move(image));
  return opened_.chain.back().get();
}

Result<Source> Opener::open_top() {
  Source top{nullptr, named_[0].path, named_[0].format, request_.access};
  auto file = request_.open_named(top.path, request_.access);
  if (!file && file.error().kind == ErrorKind::Denied && request_.access == Access::ReadWrite &&
      request_.read_only_if_need_be) {
    const std::string reason = file.error().text;
    file = request_.open_named(top.path, Access::ReadOnly);
    if (file) {
      top.access = Access::ReadOnly;
      opened_.notes.push_back(fmt::format("{}; opened read-only", reason));
    }
  }
  if (!file) return Failure(std::move(file.error()));
  top.file = *std::move(file);
  TRY(top, readable_if_never_written(std::move(top)));
  CHECK(lock(*top.file, top.access));
  return top;
}

// An image that nobody can write is locked as a reader, and its file not open for writing. Looks without a lock: should
// the file change meanwhile, it is read as what it is then, or refused.
Result<Source> Opener::readable_if_never_written(Source source) const {
  if (source.access == Access::ReadOnly) return source;
  std::string format = source.format.value_or("");
  bool foreign = false;
  if (!source.format) {
    TRY(format, probe(*source.file));
    TRY(const auto known, probe_foreign(*source.file));
    foreign = known.has_value();
  }
  if (is_written_in_place(format) && !foreign) return source;
  TRY(source.file, request_.open_named(source.path, Access::ReadOnly));
  source.access = Access::ReadOnly;
  return source;
}

Result<Opened> Opener::open() {
  TRY(Source top, open_top());
  TRY(Image* const image, open_source(std::move(top)));
  std::reverse(opened_.chain.begin(), opened_.chain.end());  // built from the bottom
  opened_.format = image->traits().format;
  if (!image->traits().read_only_reason.empty()) {
    if (!request_.read_only_if_need_be) {
      return fail(ErrorKind::Denied, "{}: {}", shown(named_[0].path), image->traits().read_only_reason);
    }
    opened_.notes.push_back(
        fmt::format("{}: opened read-only: {}", shown(named_[0].path), image->traits().read_only_reason));
  }
  return std::move(opened_);
}

Result<Image*> Opener::open_source(Source source) {
  CHECK(rules_.admit(*source.file, source.path));
  source.file = with_sticky_failure(std::move(source.file), source.barriers);
  const bool guessed = !source.format;
  if (guessed) {
    TRY(source.format, probe(*source.file));
  }
  if (rules_.depth() == 0) opened_.format_guessed = guessed;
  if (request_.snapshot && rules_.depth() == 0 && *source.format != "qcow2") {
    return fail(ErrorKind::Unsupported, "{}: {} images have no snapshots", shown(source.path), *source.format);
  }
  if (!request_.pieces.empty() && source.path == request_.path && *source.format != "sparse") {
    return fail(ErrorKind::BadUsage, "{}: only Android sparse images come in pieces, this is {}", shown(source.path),
                *source.format);
  }
  if (*source.format == "raw") return open_raw(std::move(source), guessed);
  if (*source.format == "qcow2") return open_qcow2(std::move(source));
  if (*source.format == "qcow") return open_qcow1(std::move(source));
  if (*source.format == "sparse") return open_sparse(std::move(source));
  if (*source.format == "zstd") return open_zstd(std::move(source));
  if (*source.format == "composite") return open_composite(std::move(source));
  CHECK(must_be_a_format(*source.format, source.path));
  return fail(ErrorKind::Unsupported, "{}: the format {} is not supported yet: convert it to qcow2 or raw",
              shown(source.path), *source.format);
}

Result<Opened> open_image(const OpenRequest& request) {
  if (request.snapshot && request.overlay) {
    return fail(ErrorKind::BadUsage, "snapshot and overlay exclude each other: a snapshot is shown for reading only");
  }
  if (request.snapshot && request.access == Access::ReadWrite) {
    OpenRequest reading = request;
    reading.access = Access::ReadOnly;
    return open_image(reading);
  }
  std::vector<std::string> notes;
  if (request.overlay) {
    TRY(const bool there, overlay_exists(*request.overlay));
    if (!there && request.access == Access::ReadWrite) {
      TRY(notes, make_overlay(request));
    }
    if (!there && request.access == Access::ReadOnly) {  // nothing was ever written
      OpenRequest without = request;
      without.overlay.reset();
      return open_image(without);
    }
  }
  TRY(Gate gate, gate_for(request));
  std::optional<std::string> reason;
  {
    Opener opener(request, std::move(gate));
    auto opened = opener.open();
    if (opened) opened->notes.insert(opened->notes.begin(), notes.begin(), notes.end());
    reason = opener.unwritable_part();
    const bool reading_helps = reason && request.read_only_if_need_be && request.behind == Behind::Below;
    if (opened || !reading_helps) return opened;
  }
  OpenRequest reading = request;
  reading.access = Access::ReadOnly;
  TRY(Opened opened, open_image(reading));
  opened.notes.push_back(fmt::format("{}; opened read-only", *reason));
  return opened;
}

}  // namespace flatimg::catalog
