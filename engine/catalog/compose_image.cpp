#include "catalog/compose_image.h"

#include <algorithm>

#include "base/text.h"
#include "catalog/open.h"
#include "composite/compose.h"
#include "host/gate.h"
#include "host/new_file.h"

namespace flatimg::catalog {

namespace {

struct AskedPart {
  composite::Ingredient ingredient;
  FileIdentity file;
};

// Takes "TAIL" off the end of "...:TAIL" when `is_tail` knows it.
template <class Known>
auto take_tail(std::string& text, Known is_tail) -> decltype(is_tail(std::string_view())) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return {};
  const auto known = is_tail(std::string_view(text).substr(colon + 1));
  if (known) text.resize(colon);
  return known;
}

Result<AskedPart> ask(const PartRequest& part, const ComposeRequest& request) {
  OpenRequest look;
  look.path = part.path;
  look.access = Access::ReadOnly;
  look.allowed_directories = request.allowed_directories;
  look.content = OpenRequest::Content::NotNeeded;
  TRY(const Opened opened, open_image(look));
  TRY(const auto file, open_host_file(part.path, Access::ReadOnly));
  TRY(std::string name, Gate::name_for(part.path, request.path));
  const std::uint64_t capability = part.access == Access::ReadWrite ? composite::kReadWrite : 0;
  return AskedPart{{part.label, std::move(name), opened.chain.front()->size(), capability, part.guid},
                   file->identity()};
}

Result<void> check_sharing(const std::vector<AskedPart>& parts) {
  for (std::size_t n = 0; n < parts.size(); ++n) {
    for (std::size_t earlier = 0; earlier < n; ++earlier) {
      const bool written = (parts[n].ingredient.capability | parts[earlier].ingredient.capability) != 0;
      if (parts[n].file != parts[earlier].file || !written) continue;
      return fail(ErrorKind::BadUsage, "{}: is named twice, and would be written", shown(parts[n].ingredient.path));
    }
  }
  return {};
}

Result<std::vector<composite::Ingredient>> ingredients_of(const ComposeRequest& request) {
  std::vector<AskedPart> asked;
  for (const PartRequest& part : request.parts) {
    TRY(AskedPart one, ask(part, request));
    asked.push_back(std::move(one));
  }
  CHECK(check_sharing(asked));
  std::vector<composite::Ingredient> ingredients;
  for (AskedPart& part : asked) ingredients.push_back(std::move(part.ingredient));
  return ingredients;
}

std::vector<std::string> notes_on(const composite::Header& header) {
  for (const composite::Part& part : header.parts) {
    if (!part.path.starts_with('/')) continue;
    return {
        fmt::format("{} lies in another directory: to use the disk, allow that with allow-path=", shown(part.path))};
  }
  return {};
}

// --- files ----------------------------------------------------------------------------------------------------------

Result<NewFile> made(const std::string& path, std::string_view contents) {
  TRY(NewFile file, NewFile::at(path, NewFile::Existing::MustBeEmpty));
  CHECK(file.file().write(HostOffset(0), std::as_bytes(std::span(contents))));
  CHECK(file.file().barrier());
  return file;
}

composite::Beside names_beside(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  return {name + ".header", name + ".footer", name + ".filler"};
}

Result<void> write_disk(const std::string& path, const composite::Header& header) {
  TRY(NewFile disk, made(path, composite::encode_header(header)));
  disk.keep();
  return {};
}

// The disk last: what it names is there when it is.
Result<void> write_all(const std::string& path, const composite::Composition& composition) {
  TRY(NewFile beginning, made(path + ".header", composition.tables.beginning));
  TRY(NewFile end, made(path + ".footer", composition.tables.end));
  TRY(NewFile filler, made(path + ".filler", std::string(composite::kAlignment.value(), '\0')));
  CHECK(write_disk(path, composition.header));
  beginning.keep();
  end.keep();
  filler.keep();
  return {};
}

}  // namespace

Result<PartRequest> parse_part(const std::string& text) {
  std::string rest = text;
  PartRequest part;
  part.guid = take_tail(rest, [](std::string_view tail) { return composite::parse_guid(tail); });
  const auto is_writable = [](std::string_view tail) { return tail == "writable"; };
  if (take_tail(rest, is_writable)) part.access = Access::ReadWrite;
  const std::size_t colon = rest.find(':');
  if (colon == std::string::npos || colon + 1 == rest.size()) {
    return fail(ErrorKind::BadUsage, "{}: not a part: use LABEL:PATH[:writable][:GUID]", shown(text));
  }
  part.label = rest.substr(0, colon);
  part.path = rest.substr(colon + 1);
  return part;
}

Result<std::vector<std::string>> compose_image(const ComposeRequest& request) {
  TRY(const auto parts, ingredients_of(request));
  if (request.partitioning == ComposeRequest::Partitioning::None) {
    TRY(const composite::Header header, composite::without_partition_table(parts));
    CHECK(write_disk(request.path, header));
    return notes_on(header);
  }
  TRY(const auto composition, composite::with_partition_table(parts, names_beside(request.path)));
  CHECK(write_all(request.path, composition));
  return notes_on(composition.header);
}

}  // namespace flatimg::catalog
