#include "composite/composite_image.h"

#include <algorithm>
#include <map>

#include "base/text.h"

namespace flatimg::composite {

ByteCount OpenPart::missing() const {
  const ByteCount size = image().size();
  const ByteCount needed = part.file_offset + part.where.length;
  return std::min(part.where.length, needed > size ? needed - size : ByteCount(0));
}

Result<std::unique_ptr<CompositeImage>> CompositeImage::open(std::unique_ptr<HostFile> file, ByteCount size,
                                                             std::vector<OpenPart> parts) {
  for (const OpenPart& part : parts) {
    if (part.missing().is_zero() || !part.image().traits().writable) continue;
    return fail(ErrorKind::InvalidImage,
                "{}: the part \"{}\" ends {} bytes before its place on the disk does: enlarge it, or open the disk "
                "read-only to see zeroes there",
                shown(file->name()), shown(part.name), part.missing().value());
  }
  return std::unique_ptr<CompositeImage>(new CompositeImage(std::move(file), size, std::move(parts)));
}

CompositeImage::CompositeImage(std::unique_ptr<HostFile> file, ByteCount size, std::vector<OpenPart> parts)
    : file_(std::move(file)), size_(size), parts_(std::move(parts)) {
  for (const OpenPart& part : parts_) add_pieces(part);
  describe_traits();
}

void CompositeImage::add_pieces(const OpenPart& part) {
  const GuestRange there = part.part.where.first(part.part.where.length - part.missing());
  const GuestRange missing = part.part.where.without_first(there.length);
  const GuestOffset at = GuestOffset(0) + part.part.file_offset;
  if (!there.empty()) pieces_.push_back({there, part.chain.front().get(), at, part.name});
  if (!missing.empty()) pieces_.push_back({missing, nullptr, {}, part.name});
}

void CompositeImage::describe_traits() {
  traits_.format = "composite";
  traits_.granule = 1_B;
  traits_.fixed_map = true;
  for (const OpenPart& part : parts_) {
    traits_.writable = traits_.writable || part.image().traits().writable;
    traits_.fixed_map = traits_.fixed_map && part.image().traits().fixed_map;
    traits_.enciphered = traits_.enciphered ||
                         std::ranges::any_of(part.chain, [](const auto& image) { return image->traits().enciphered; });
  }
  if (!traits_.writable && file_->writable()) traits_.read_only_reason = "all its parts are read-only";
}

Result<Extent> CompositeImage::map(GuestRange want, Look /*look*/) {
  const auto behind =
      std::ranges::upper_bound(pieces_, want.begin, {}, [](const DiskPart& p) { return p.where.begin; });
  const DiskPart& piece = *std::prev(behind);
  const GuestRange here = intersection(want, piece.where);
  if (piece.image == nullptr) return Extent{here, Zeroes{.recorded = true}};
  return Extent{here, Below{piece.image, piece.at + (here.begin - piece.where.begin)}};
}

Result<void> CompositeImage::flush() {
  Result<void> outcome;
  for (const OpenPart& part : parts_) {
    auto flushed = part.chain.front()->flush();
    if (!flushed && outcome) outcome = std::move(flushed);
  }
  return outcome;
}

Result<void> CompositeImage::close() {
  Result<void> outcome;
  for (const OpenPart& part : parts_) {
    for (const auto& image : part.chain) {
      auto closed = image->close();
      if (!closed && outcome) outcome = std::move(closed);
    }
  }
  return outcome;
}

std::optional<std::string> CompositeImage::corruption() const {
  for (const OpenPart& part : parts_) {
    if (auto found = part.image().corruption()) return part.name + ": " + *found;
  }
  return std::nullopt;
}

Counters CompositeImage::counters() const {
  std::map<std::string, std::uint64_t> sums;
  for (const OpenPart& part : parts_) {
    for (const auto& [name, count] : part.image().counters()) sums[name] += count;
  }
  return {sums.begin(), sums.end()};
}

}  // namespace flatimg::composite
