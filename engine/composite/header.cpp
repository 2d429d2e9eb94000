#include "composite/header.h"

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "base/limits.h"
#include "base/text.h"
#include "composite/wire.h"

namespace flatimg::composite {

namespace {

constexpr std::size_t kShownName = 256;  // bytes of a name in a message

Failure about(const wire::Component& part, std::string_view what) {
  return fail(ErrorKind::InvalidImage, "the part \"{}\" {}", shown_shortened(part.file_path, kShownName), what);
}

Result<void> check_message(const wire::Message& message) {
  if (message.version > kVersion) {
    return fail(ErrorKind::Unsupported, "a composite disk of version {}: only versions up to {} are understood",
                message.version, kVersion);
  }
  if (message.components.empty()) return fail(ErrorKind::InvalidImage, "the composite disk has no parts");
  if (message.length > limits::kDisk.value()) {
    return fail(ErrorKind::Limit, "a disk of {} bytes is too large", message.length);
  }
  return {};
}

// Everything but where the part ends.
Result<void> check_place(const wire::Message& message, std::size_t nth) {
  const wire::Component& part = message.components[nth];
  if (part.file_path.empty()) return fail(ErrorKind::InvalidImage, "a part of the composite disk names no file");
  if (nth == 0 && part.offset != 0) {
    return about(part, fmt::format("begins at {}, and nothing lies in front of it", part.offset));
  }
  if (nth > 0 && part.offset == message.components[nth - 1].offset) {
    return about(part, fmt::format("begins at {}, where another part begins, too", part.offset));
  }
  if (part.offset >= message.length) {
    return about(part, fmt::format("begins at {}, behind the end of the disk at {}", part.offset, message.length));
  }
  return {};
}

Result<Part> part_of(const wire::Message& message, std::size_t nth) {
  CHECK(check_place(message, nth));
  const wire::Component& from = message.components[nth];
  const bool last = nth + 1 == message.components.size();
  const std::uint64_t end = last ? message.length : std::min(message.length, message.components[nth + 1].offset);
  const auto file_end = checked_add(from.file_offset, end - from.offset);
  if (!file_end || *file_end > limits::kDisk.value()) {
    return about(from, fmt::format("has a file offset of {}, which is too large", from.file_offset));
  }
  return Part{from.file_path, GuestRange::between(GuestOffset(from.offset), GuestOffset(end)),
              ByteCount(from.file_offset), from.capability};
}

Result<Header> judged(wire::Message message) {
  CHECK(check_message(message));
  std::ranges::stable_sort(message.components, {}, &wire::Component::offset);
  Header header{message.version, ByteCount(message.length), {}};
  for (std::size_t nth = 0; nth < message.components.size(); ++nth) {
    TRY(Part part, part_of(message, nth));
    header.parts.push_back(std::move(part));
  }
  return header;
}

}  // namespace

Result<Header> parse_header(std::span<const std::byte> file) {
  if (file.size() < kMagic.size() || std::memcmp(file.data(), kMagic.data(), kMagic.size()) != 0) {
    return fail(ErrorKind::InvalidImage, "not a composite disk: it does not begin with composite_disk");
  }
  TRY(wire::Message message, wire::decode(file.subspan(kMagic.size())));
  return judged(std::move(message));
}

Result<Header> read_header(HostFile& file) {
  TRY(const ByteCount size, file.size());
  if (size > limits::kCompositeFile) {
    return fail(ErrorKind::Limit, "{}: a composite disk of {} bytes: its description of the parts is too long",
                shown(file.name()), size.value());
  }
  std::vector<std::byte> bytes(size.value());
  CHECK(file.read(HostOffset(0), bytes));
  auto header = parse_header(bytes);
  if (!header) return Failure(std::move(header.error()).within(shown(file.name())));
  return header;
}

std::string encode_header(const Header& header) {
  wire::Message message{header.version, {}, header.length.value()};
  for (const Part& part : header.parts) {
    message.components.push_back({part.path, part.where.begin.value(), part.capability, part.file_offset.value()});
  }
  return std::string(kMagic) + wire::encode(message);
}

}  // namespace flatimg::composite
