// The parts of a composite disk, each an image with everything behind it.
#include <algorithm>

#include "base/text.h"
#include "catalog/opener.h"

namespace flatimg::catalog {

Result<Source> Opener::find_part(const composite::Part& part, const Source& whole) {
  const Access access = part.writable() ? whole.access : Access::ReadOnly;
  Gate::Request wanted{part.path, whole.path, Gate::kPart, access, rules_.files()};
  auto found = gate_.open(wanted);
  if (!found) {
    wanted.access = Access::ReadOnly;
    const bool may_be_read = found.error().kind == ErrorKind::Denied && gate_.open(wanted).has_value();
    if (may_be_read) unwritable_part_ = found.error().text;
    return Failure(std::move(found.error()));
  }
  CHECK(lock(*found->file, access));
  return Source{std::move(found->file), std::move(found->path), std::nullopt, access, whole.barriers};
}

// The image with everything behind it, as a chain of its own.
Result<composite::OpenPart> Opener::open_part(const composite::Part& part, Source source) {
  const std::string path = source.path;
  const Access access = source.access;
  const ChainRules rules_outside = rules_;
  auto outside = std::exchange(opened_.chain, {});
  TRY(const Image* const image, open_source(std::move(source)));
  rules_ = rules_outside;
  std::reverse(opened_.chain.begin(), opened_.chain.end());
  composite::OpenPart opened{part, path, std::exchange(opened_.chain, std::move(outside))};
  if (access == Access::ReadWrite && !image->traits().writable) {
    unwritable_part_ = fmt::format("{}: {}", shown(path), image->traits().read_only_reason);
    return fail(ErrorKind::Denied, "{}", *unwritable_part_);
  }
  if (!opened.missing().is_zero() && access == Access::ReadOnly) {
    opened_.notes.push_back(fmt::format("{}: ends {} bytes before its place on the disk does: zeroes are shown there",
                                        shown(path), opened.missing().value()));
  }
  return opened;
}

// All files are there and locked before the first of them is read.
Result<Image*> Opener::open_composite(Source source) {
  TRY(const composite::Header header, composite::read_header(*source.file));
  std::vector<Source> sources;
  for (const composite::Part& part : header.parts) {
    TRY(Source found, find_part(part, source));
    sources.push_back(std::move(found));
  }
  const ByteCount cache_share(cache_left_.value() / sources.size());
  std::vector<composite::OpenPart> parts;
  for (std::size_t nth = 0; nth < sources.size(); ++nth) {
    cache_left_ = cache_share;
    TRY(composite::OpenPart part, open_part(header.parts[nth], std::move(sources[nth])));
    parts.push_back(std::move(part));
  }
  TRY(auto image, composite::CompositeImage::open(std::move(source.file), header.length, std::move(parts)));
  return keep(std::move(image));
}

}  // namespace flatimg::catalog
