#include "catalog/overlay.h"

#include <algorithm>

#include "base/checked.h"
#include "base/text.h"
#include "catalog/backing.h"
#include "catalog/replaced_base.h"
#include "host/gate.h"
#include "host/new_file.h"
#include "qcow2/create.h"

namespace flatimg::catalog {

Result<bool> overlay_exists(const std::string& path) {
  auto file = open_host_file(path, Access::ReadOnly);
  if (!file && file.error().kind == ErrorKind::NotFound) return false;
  if (!file) return Failure(std::move(file.error()));
  TRY(const ByteCount size, (*file)->size());
  return !size.is_zero();
}

Result<std::vector<std::string>> make_overlay(const OpenRequest& request) {
  const std::string& path = *request.overlay;
  OpenRequest below = request;
  below.overlay.reset();
  below.access = Access::ReadOnly;
  TRY(const Opened opened, open_image(below));
  qcow2::CreateOptions options;
  options.size = align_up(opened.chain.front()->size(), 512_B);
  TRY(options.backing_name, Gate::name_for(request.path, path));
  options.backing_format = opened.format;
  options.backing_facts = facts_of(request.path);
  if (std::ranges::any_of(opened.chain, [](const auto& image) { return image->traits().enciphered; })) {
    options.encryption = qcow2::EncryptionOptions{};
    options.passphrase = request.passphrase;
  }
  auto made = [&]() -> Result<void> {
    CHECK(qcow2::check_options(options));
    TRY(NewFile file, NewFile::at(path, NewFile::Existing::MustBeEmpty, NewFile::kPrivate));
    CHECK(qcow2::create(file.file(), nullptr, options));
    file.keep();
    return {};
  }();
  if (!made) return Failure(std::move(made.error()).within("overlay " + shown(path)));
  std::vector<std::string> notes;
  if (auto note = note_on_qemu(path, opened.format)) notes.push_back(std::move(*note));
  return notes;
}

}  // namespace flatimg::catalog
