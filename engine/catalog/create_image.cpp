#include "catalog/create_image.h"

#include "base/checked.h"
#include "base/text.h"
#include "catalog/backing.h"
#include "catalog/create_options.h"
#include "catalog/replaced_base.h"
#include "host/gate.h"
#include "host/new_file.h"
#include "raw/create.h"

namespace flatimg::catalog {

namespace {

// Looks at the backing file: it must exist where the gate lets it be found later; its size and format are the defaults.
Result<void> consult_backing(const CreateRequest& request, qcow2::CreateOptions& options, bool needs_size,
                             std::vector<std::string>& notes) {
  BackingRequest wanted{request.path, *options.backing_name, options.backing_format, request.allowed_directories};
  wanted.content = OpenRequest::Content::NotNeeded;
  TRY(const FoundBacking found, open_backing(wanted));
  options.backing_format = found.opened.format;
  options.backing_facts = facts_of(Gate::resolve_name(*options.backing_name, request.path));
  notes.insert(notes.end(), found.notes.begin(), found.notes.end());
  if (needs_size) options.size = align_up(found.opened.chain.front()->size(), 512_B);
  return {};
}

[[nodiscard]] bool gives_size(const CreateRequest& request) {
  for (const auto& [name, value] : request.options) {
    if (name == "size") return true;
  }
  return request.size.has_value();
}

Failure needs_size() {
  return fail(ErrorKind::BadUsage, "Image creation needs a size parameter: add SIZE behind the name");
}

Result<std::vector<std::string>> create_raw(const CreateRequest& request) {
  TRY(const qcow2::CreateOptions options, raw_options(request));
  if (!gives_size(request)) return needs_size();
  TRY(NewFile file, NewFile::at(request.path));
  using qcow2::Preallocation;
  const raw::Reserve reserve = options.preallocation == Preallocation::Full     ? raw::Reserve::Written
                               : options.preallocation == Preallocation::Falloc ? raw::Reserve::Space
                                                                                : raw::Reserve::Nothing;
  CHECK(raw::create(file.file(), align_up(options.size, 512_B), reserve));
  file.keep();
  return std::vector<std::string>();
}

// The format cannot record what the backing file is: it has to be what everybody will take it for.
Result<void> must_look_like(const CreateRequest& request, const qcow2::CreateOptions& options,
                            const std::optional<std::string>& told) {
  if (!told || *told == *options.backing_format) return {};
  CHECK(must_be_a_format(*told, request.path));
  return fail(ErrorKind::BadUsage, "{}: looks like {}, and qcow images cannot record that it is {}: use qcow2",
              shown(*options.backing_name), *options.backing_format, *told);
}

Result<std::vector<std::string>> create_qcow1(const CreateRequest& request) {
  std::vector<std::string> notes_on_format;  // not passed on: they speak of what is recorded, and here it is not
  TRY(Qcow1Options words, qcow1_options(request));
  qcow2::CreateOptions& common = words.common;
  const bool size_is_given = gives_size(request);
  if (!size_is_given && !common.backing_name) return needs_size();
  if (common.backing_name) {
    const auto told = std::exchange(common.backing_format, std::nullopt);
    CHECK(consult_backing(request, common, !size_is_given, notes_on_format));
    CHECK(must_look_like(request, common, told));
  }
  const qcow1::CreateOptions options{align_up(common.size, 512_B), common.backing_name, common.encryption.has_value(),
                                     words.xen};
  CHECK(qcow1::check_options(options));
  TRY(NewFile file, NewFile::at(request.path));
  CHECK(qcow1::create(file.file(), options));
  file.keep();
  return std::vector<std::string>();
}

Result<std::optional<NewFile>> make_data_file(const CreateRequest& request, const qcow2::CreateOptions& options) {
  if (!options.data_file_name) return std::optional<NewFile>();
  TRY(NewFile file, NewFile::at(Gate::resolve_name(*options.data_file_name, request.path)));
  return std::optional<NewFile>(std::move(file));
}

Result<std::vector<std::string>> create_qcow2(const CreateRequest& request) {
  std::vector<std::string> notes;
  TRY(qcow2::CreateOptions options, qcow2_options(request));
  const bool size_is_given = gives_size(request);
  if (!size_is_given && !options.backing_name) return needs_size();
  CHECK(qcow2::check_options(options));
  if (options.backing_name) CHECK(consult_backing(request, options, !size_is_given, notes));
  options.size = align_up(options.size, 512_B);
  CHECK(qcow2::check_options(options));  // with the size that is now known
  TRY(NewFile file, NewFile::at(request.path));
  TRY(std::optional<NewFile> data, make_data_file(request, options));
  CHECK(qcow2::create(file.file(), data ? &data->file() : nullptr, options));
  file.keep();
  if (data) data->keep();
  return notes;
}

}  // namespace

Result<std::vector<std::string>> create_image(const CreateRequest& request) {
  auto notes = [&]() -> Result<std::vector<std::string>> {
    if (request.format == "qcow2") return create_qcow2(request);
    if (request.format == "qcow") return create_qcow1(request);
    if (request.format == "raw") return create_raw(request);
    return fail(ErrorKind::BadUsage, "images of the format \"{}\" cannot be made: use qcow2, qcow or raw",
                shown(request.format));
  }();
  if (!notes && notes.error().text.find(request.path) == std::string::npos) {
    return Failure(std::move(notes.error()).within(shown(request.path)));
  }
  return notes;
}

}  // namespace flatimg::catalog
