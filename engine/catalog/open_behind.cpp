// What is behind an image: the backing file that it records, or one that the request names.
#include <algorithm>

#include "base/text.h"
#include "catalog/opener.h"

namespace flatimg::catalog {

const Named* Opener::named_behind() const {
  const std::size_t next = rules_.depth() + 1;
  return next < named_.size() ? &named_[next] : nullptr;
}

Result<Image*> Opener::open_backing(const Recorded& recorded, const std::string& asking_path) {
  const Named* const named = named_behind();
  if (!recorded && named == nullptr) return nullptr;
  TRY(Source backing, named != nullptr ? open_named_backing(*named, recorded, asking_path)
                                       : open_recorded_backing(*recorded, asking_path));
  CHECK(lock(*backing.file, backing.access));
  if (!separate_base()) return open_source(std::move(backing));
  CHECK(open_base(std::move(backing)));
  return nullptr;
}

void Opener::note_base(std::optional<std::string> wrong) {
  if (wrong) opened_.notes.push_back(fmt::format("{}. backing=FILE would use another one", *wrong));
}

// The disk that an overlay is to be written into; its format must be certain (promise S4).
Result<void> Opener::open_base(Source base) {
  const std::string path = base.path;
  if (!base.format) {
    return fail(ErrorKind::Denied,
                "{}: the format of its backing file is not recorded: record it with flatimg rebase -u",
                shown(named_[0].path));
  }
  TRY(const Image* const image, open_source(std::move(base)));
  if (!image->traits().writable) {
    return fail(ErrorKind::Denied, "{}: cannot be written: {}", shown(path), image->traits().read_only_reason);
  }
  opened_.base = std::exchange(opened_.chain, {});
  std::reverse(opened_.base.begin(), opened_.base.end());
  return {};
}

// Asked while the top is being opened.
bool Opener::separate_base() const { return request_.behind == Behind::Separately && rules_.depth() == 0; }

Result<Source> Opener::open_named_backing(const Named& named, const Recorded& recorded,
                                          const std::string& asking_path) {
  Source backing;
  backing.path = named.path;
  backing.format = named.format || !recorded ? named.format : recorded->format;
  TRY(backing.file, request_.open_named(backing.path, Access::ReadOnly));
  if (request_.overlay && rules_.depth() == 0) CHECK(must_be_overlay_of(*backing.file, recorded, asking_path));
  return backing;
}

Result<Source> Opener::open_recorded_backing(const Backing& recorded, const std::string& asking_path) {
  const Access access = separate_base() ? Access::ReadWrite : Access::ReadOnly;
  TRY(auto opened, gate_.open({recorded.name, asking_path, "backing file", access}));
  if (!recorded.format) {
    opened_.notes.push_back(fmt::format("{}: the format of its backing file {} is not recorded; it was guessed",
                                        shown(asking_path), shown(opened.path)));
  }
  return Source{std::move(opened.file), std::move(opened.path), recorded.format, access};
}

// What was written over one image makes no sense over another, nor over the same one read in another way.
Result<void> Opener::must_be_overlay_of(const HostFile& image, const Recorded& recorded, const std::string& overlay) {
  const auto refused = [&](std::string_view why) {
    return fail(ErrorKind::BadUsage, "{}: is no overlay of {}: {}", shown(overlay), shown(request_.path), why);
  };
  if (!recorded) return refused("it has no backing file");
  const auto found = gate_.open({recorded->name, overlay, "backing file", Access::ReadOnly});
  if (!found) return refused(found.error().text);
  if (found->file->identity() != image.identity()) {
    return refused(fmt::format("its backing file is {}", shown(found->path)));
  }
  if (request_.format && recorded->format && *request_.format != *recorded->format) {
    return refused(fmt::format("it was made over the format {}", shown(*recorded->format)));
  }
  return {};
}

}  // namespace flatimg::catalog
